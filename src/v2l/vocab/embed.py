"""Stage ``embed``: text embeddings of all n-gram candidates (paper, method section: vocabulary expansion)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from v2l.artifacts import read_rows, write_arrays
from v2l.config.clip import LockedTextConfig, OpenClipConfig
from v2l.config.vocab import EmbedConfig
from v2l.errors import ModelError
from v2l.models.clip import OpenClip
from v2l.models.text_encoder import TextEncoder
from v2l.progress import Progress
from v2l.runtime import Runtime

Template = Callable[[str], str]
UNDECODABLE = "\ufffd"


def load_templates(name: str) -> list[Template]:
    """The prompts a text is put in: one, or open_clip's 7 simple or 80 ImageNet templates."""
    if name == "single":
        return ["a photo of a {}.".format]
    from open_clip import zero_shot_metadata as metadata  # slow to import; the default does without

    return list(metadata.OPENAI_IMAGENET_TEMPLATES if name == "openai" else metadata.SIMPLE_IMAGENET_TEMPLATES)


def canonical_spelling(text: str) -> str:
    """Text without case and outer or repeated blanks: what the text encoders see of it."""
    return " ".join(text.split()).casefold()


def group_texts(texts: Sequence[str], merge_spellings: bool) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Which candidates share an embedding, and which may enter the global codebook.

    Returns the U distinct texts to embed, text_id [N] int32 (the distinct text of each candidate) and eligible
    [M] int32 (candidate numbers, ascending). With merge_spellings every spelling counts once, through the candidate
    that is spelled plainly if there is one, and texts without a letter or digit are left out; else all are eligible.
    """
    keys = [canonical_spelling(text) if merge_spellings else text for text in texts]
    first: dict[str, int] = {}
    text_id = np.array([first.setdefault(key, len(first)) for key in keys], dtype=np.int32)
    if not merge_spellings:
        return list(first), text_id, np.arange(len(texts), dtype=np.int32)
    representative: dict[str, int] = {}
    for index, (text, key) in enumerate(zip(texts, keys, strict=True)):
        if UNDECODABLE in key or not any(character.isalnum() for character in key):
            continue
        if key not in representative or (text.strip() == key != texts[representative[key]].strip()):
            representative[key] = index
    return list(first), text_id, np.array(sorted(representative.values()), dtype=np.int32)


def embed_texts(
    encode: Callable[..., Tensor], texts: Sequence[str], templates: Sequence[Template]
) -> Tensor:  # fmt: skip
    """Mean over templates of the unit embeddings, not rescaled (as in the release): [U, d] float32."""
    total: Tensor | None = None
    with Progress("text embeddings", len(texts) * len(templates), "texts") as progress:
        for template in templates:
            vectors = encode([template(text) for text in texts], progress.advance)
            total = vectors if total is None else total + vectors
    if total is None:
        raise ValueError("embed_texts needs at least one template")
    return total / len(templates)


def embed(
    candidates: Path,
    embeddings: Path,
    config: EmbedConfig,
    clip: LockedTextConfig | OpenClipConfig,
    runtime: Runtime,
    text_encoder: Path | None = None,
) -> None:
    """Writes ``embeddings`` [U, d] float32 of the distinct texts, and ``text_id`` and ``eligible`` of `group_texts`."""
    texts, text_id, eligible = group_texts(read_rows(candidates, ["text"])["text"].tolist(), config.merge_spellings)
    if isinstance(clip, OpenClipConfig):
        encode = OpenClip(clip, runtime).encode_text
    elif text_encoder is not None:
        encode = TextEncoder(text_encoder.parent, runtime).encode
    else:
        raise ModelError("clip.kind locked_text: needs the fetched text encoder")
    vectors = embed_texts(encode, texts, load_templates(config.templates))
    write_arrays(embeddings, {"embeddings": vectors.numpy(), "text_id": text_id, "eligible": eligible})
