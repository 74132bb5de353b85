"""Stage ``expand``: grows every LLM token into a bigram and a trigram (paper, method section: vocabulary expansion)."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from v2l.artifacts import write_rows
from v2l.config.llm import LlmConfig
from v2l.config.vocab import ExpandConfig
from v2l.errors import ModelError
from v2l.models.llm import Llm, load_llm
from v2l.models.llm_decoding import Free
from v2l.models.llm_generation import Request
from v2l.runtime import Runtime

MAX_ORDER = 3

logger = logging.getLogger(__name__)


def expand(candidates: Path, config: ExpandConfig, llm: LlmConfig, runtime: Runtime) -> None:
    """Writes ngram_id, order, token_ids and text of 3|T| candidates: all of order 1 in token-id order, then 2, then 3.

    A candidate's text is the decoding of its ids together, which differs from its tokens' texts joined only where
    one character's bytes are spread over several tokens.

    Raises ModelError if the LLM has fewer tokens than ``config.num_tokens``.
    """
    model = load_llm(llm, runtime)
    num_tokens = config.num_tokens or model.vocab_size
    if num_tokens > model.vocab_size:
        raise ModelError(f"vocab.expand.num_tokens: {num_tokens} asked for, {llm.source} has {model.vocab_size} tokens")
    table = candidate_rows(model, expand_tokens(model, config.prompt, range(num_tokens)))
    write_rows(candidates, table)
    logger.info("%d candidates, %d distinct texts", len(table), table["text"].nunique())


def expand_tokens(llm: Llm, prompt: str, token_ids: Sequence[int]) -> np.ndarray:
    """Each token id with its two greedy successors after the prompt: [N] ids -> [N, 3] int64.

    The prompt is read as the tokenizer would read the whole text: where a token's text begins with a blank, the
    prompt's last blank is that blank (``a photo of`` + `` cat``); other tokens follow the prompt as it is written
    (``a photo of `` + ``ing``). An end-of-text token that the model prefers is a successor like any other.
    """
    before_blank, before_other = ((*llm.start_ids, *ids) for ids in llm.tokenize([prompt.removesuffix(" "), prompt]))
    successors = Free(max_new_tokens=MAX_ORDER - 1)
    requests = []
    for token_id in token_ids:
        prefix = before_blank if llm.token_texts[token_id].startswith(" ") else before_other
        requests.append(Request((prefix, (token_id,)) if prefix else ((token_id,),), successors))
    answers = llm.generate(requests, "expansion")
    return np.array([[token_id, *answer] for token_id, answer in zip(token_ids, answers, strict=True)], dtype=np.int64)


def candidate_rows(llm: Llm, trigrams: np.ndarray) -> pd.DataFrame:
    """The table of candidates from [N, 3] token ids: the first column, the first two, all three."""
    sequences = [row[:order].tolist() for order in range(1, MAX_ORDER + 1) for row in trigrams]
    return pd.DataFrame(
        {
            "ngram_id": np.arange(len(sequences)),
            "order": [len(sequence) for sequence in sequences],
            "token_ids": sequences,
            "text": llm.decode(sequences),
        }
    )
