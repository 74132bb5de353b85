"""Stage ``release-artifacts``: the authors' released codebooks and checkpoint as artifacts of this suite.

They stand in for what the stages ``expand``, ``embed``, ``filter`` and ``train`` write.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from v2l.artifacts import write_arrays, write_rows
from v2l.config.tokenizer import TokenizerConfig, V2LConfig
from v2l.config.vocab import CodebookConfig
from v2l.errors import ArtifactError, ConfigError
from v2l.release.checkpoint import (
    CROSS_ATTENTION_QUERY,
    GLOBAL_CODEBOOK,
    LOCAL_CODEBOOK,
    Tensors,
    read_checkpoint,
    tensor_sizes,
)
from v2l.release.vocabulary import (
    UNKNOWN,
    Candidates,
    check_equal,
    distinct_vectors,
    gather_candidates,
    match,
    read_candidates,
    read_vocabulary,
)
from v2l.tokenizer.model import LocalTokenizer

RELEASED = {"norm_groups": 32, "cross_attention_residual": False, "unit_codes": False}

logger = logging.getLogger(__name__)


def import_release(
    local_vocabulary: Path,
    local_embedding: Path,
    global_vocabulary: Path,
    global_embedding: Path,
    checkpoint: Path,
    candidates: Path,
    embeddings: Path,
    rows: Path,
    vectors: Path,
    tokenizer: Path,
    config: TokenizerConfig,
    codebook_config: CodebookConfig,
    codebook: str,
    name: str,
    candidate_vocabulary: Path | None = None,
    candidate_embedding: Path | None = None,
) -> None:
    """Writes candidates and embeddings as ``expand`` and ``embed`` do, rows and vectors as ``filter``, and a tokenizer.

    Not known, and null: ids of the tokens of bigrams and trigrams, and the filter's counts. Without the files of all
    candidates, those that the filter left out are null too, and not eligible; an n-gram's order is the fewest tokens
    that spell it. The global vectors are those in the checkpoint, which the release computes with.
    Raises ArtifactError for files that are unreadable, refused or not of one release, ConfigError for a configuration
    that does not describe them.
    """
    if codebook_config != CodebookConfig():
        raise ConfigError(f"vocab.codebooks.{codebook}: the released one is filtered, of orders 1, 2 and 3")
    tensors, global_codebook = read_checkpoint(checkpoint)
    _check_config(config, tensors, checkpoint, f"tokenizers.{name}")
    local = read_vocabulary(local_vocabulary, local_embedding)
    kept = read_vocabulary(global_vocabulary, global_embedding)
    check_equal(local_embedding, local.vectors, tensors[LOCAL_CODEBOOK].numpy(), f"{LOCAL_CODEBOOK} in {checkpoint}")
    if (found := kept.vectors.shape[1]) != (width := local.vectors.shape[1]):
        raise ArtifactError(f"{global_embedding}: expected width {width} as in {local_embedding}, found {found}")
    check_equal(global_embedding, kept.vectors, global_codebook.numpy(), f"{GLOBAL_CODEBOOK} in {checkpoint}")
    if (candidate_vocabulary is None) != (candidate_embedding is None):
        alone = candidate_vocabulary or candidate_embedding
        raise ArtifactError(f"{alone}: expected both texts and embeddings of all candidates, found this file alone")
    if candidate_vocabulary is not None:
        known = read_candidates(candidate_vocabulary, candidate_embedding, local)
    else:
        known = gather_candidates(local, kept)
        logger.info("only the candidates that the filter kept are known; orders of n-grams are estimated")
    numbers = match(kept, known)
    if (strange := np.flatnonzero(numbers == UNKNOWN)).size:
        text = kept.texts[strange[0]]
        raise ArtifactError(f"{global_vocabulary}: item {strange[0]}: {text!r} with its embedding is no candidate")
    write_rows(candidates, _table(known))
    write_arrays(embeddings, _embeddings(known))
    kept_rows = pd.DataFrame({"ngram_id": numbers, "order": known.order[numbers], "text": kept.texts})
    write_rows(rows, kept_rows.assign(count=pd.array([pd.NA] * len(numbers), dtype="Int64")))
    write_arrays(vectors, {"codebook": global_codebook.numpy()})
    LocalTokenizer.from_tensors(config, tensors, checkpoint).save(tokenizer)
    logger.info("%d tokens, %d global n-grams", len(local.texts), len(kept.texts))


def _check_config(config: TokenizerConfig, tensors: Tensors, checkpoint: Path, key: str) -> None:
    if not isinstance(config, V2LConfig):
        raise ConfigError(f"{key}.kind: expected v2l, the released one's, found {config.kind}")
    for name, size in {**tensor_sizes(tensors, checkpoint), **RELEASED}.items():
        if (found := getattr(config, name)) != size:
            raise ConfigError(f"{key}.{name}: expected {size} as in {checkpoint}, found {found}")
    if CROSS_ATTENTION_QUERY in tensors and not config.num_global:
        raise ConfigError(f"{key}.num_global: expected 1 or more, as {checkpoint} has cross-attention, found 0")


def _table(known: Candidates) -> pd.DataFrame:
    """Rows as ``expand`` writes them: ngram_id, order, token_ids, text."""
    total, num_tokens = len(known.texts), int((known.order == 1).sum())
    token_ids = [[number] if number < num_tokens else None for number in range(total)]
    columns = {"ngram_id": np.arange(total), "order": known.order, "token_ids": token_ids, "text": known.texts}
    return pd.DataFrame(columns)


def _embeddings(known: Candidates) -> dict[str, np.ndarray]:
    """Arrays as ``embed`` writes them. Candidates of one embedding share a row; the unknown have row -1."""
    vectors, places = distinct_vectors(known.vectors)
    eligible = np.flatnonzero(known.rows != UNKNOWN)
    text_id = np.where(known.rows == UNKNOWN, UNKNOWN, places[known.rows])
    return {"embeddings": vectors, "text_id": text_id.astype(np.int32), "eligible": eligible.astype(np.int32)}
