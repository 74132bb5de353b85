"""Text towers: the suite's way to encode texts, and that of the library beneath it, with padding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import open_clip
import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from v2l.config.clip import OpenClipConfig
from v2l.models.clip import OpenClip
from v2l.models.text_encoder import TextEncoder
from v2l.runtime import Runtime

from .machine import flops_of
from .sizes import Size
from .stand_ins import random_clip


@dataclass(frozen=True)
class TextTower:
    """encode: the suite's, [N] texts -> [N, d] unit vectors.   encode_ids: what it makes of token ids [B, L].

    lengths: tokens of texts.   encode_padded: the library's, [B] texts -> [B, d] and to how many tokens it pads.
    """

    encode: Callable[[Sequence[str]], Tensor]
    encode_ids: Callable[[Tensor], Tensor]
    lengths: Callable[[Sequence[str]], list[int]]
    encode_padded: Callable[[Sequence[str]], tuple[Tensor, int]]

    def flops(self, length: int) -> int:
        """Of a text of so many tokens."""
        return flops_of(lambda: self.encode_ids(torch.zeros(1, length, dtype=torch.int64)))


def sentence_tower(folder: Path, runtime: Runtime) -> TextTower:
    """The default's: a sentence transformer, whose padding has a mask."""
    encoder, tokenizer = TextEncoder(folder, runtime), AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=runtime.dtype).to(runtime.device).eval()

    def lengths(texts: Sequence[str]) -> list[int]:
        return list(map(len, tokenizer(texts, truncation=True)["input_ids"]))

    @torch.inference_mode()
    def encode_padded(texts: Sequence[str]) -> tuple[Tensor, int]:
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(runtime.device)
        mask = batch["attention_mask"][..., None]
        hidden = model(**batch).last_hidden_state.float()
        vectors = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
        return vectors.cpu(), batch["input_ids"].shape[1]

    return TextTower(encoder.encode, encoder.encode_ids, lengths, encode_padded)


def clip_tower(configured: OpenClipConfig, size: Size, runtime: Runtime) -> TextTower:
    """The paper's, with random weights: open_clip pads every text to the tower's context."""
    with TemporaryDirectory() as folder:
        config = random_clip(configured, size, Path(folder))
        torch.manual_seed(0)
        encoder = OpenClip(config, runtime)
        torch.manual_seed(0)
        model = open_clip.create_model(config.model).eval().requires_grad_(False).to(runtime.device, runtime.dtype)
    tokenizer = open_clip.get_tokenizer(config.model)

    def lengths(texts: Sequence[str]) -> list[int]:
        return ((tokenizer(texts) == tokenizer.eot_token_id).int().argmax(dim=1) + 1).tolist()

    @torch.inference_mode()
    def encode_padded(texts: Sequence[str]) -> tuple[Tensor, int]:
        ids = tokenizer(texts).to(runtime.device)
        return model.encode_text(ids, normalize=True).float().cpu(), ids.shape[1]

    return TextTower(encoder.encode_text, encoder.encode_ids, lengths, encode_padded)
