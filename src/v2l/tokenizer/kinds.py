"""The kinds of tokenizers by name, and reading one of whatever kind."""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from v2l.baselines.lqae import LqaeTokenizer
from v2l.baselines.spae import SpaeTokenizer
from v2l.baselines.vqgan import VqGan
from v2l.config.tokenizer import AnyTokenizerConfig
from v2l.errors import ArtifactError
from v2l.models.weights import read_tensors
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.model import LocalTokenizer

KINDS: dict[str, type[ImageTokenizer]] = {
    "v2l": LocalTokenizer,
    "vqgan": VqGan,
    "lqae": LqaeTokenizer,
    "spae": SpaeTokenizer,
}


def load_tokenizer(path: Path) -> ImageTokenizer:
    """Reads what ``ImageTokenizer.save`` wrote, strictly, on the CPU, in evaluation mode.

    Raises ArtifactError if the file is missing, has no readable configuration, or tensors that do not fit it.
    """
    tensors, metadata = read_tensors(path)
    try:
        config = TypeAdapter(AnyTokenizerConfig).validate_python(json.loads(metadata["config"]))
    except (KeyError, json.JSONDecodeError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path}: expected a tokenizer configuration in the metadata ({reason})") from None
    return KINDS[config.kind].from_tensors(config, tensors, path)
