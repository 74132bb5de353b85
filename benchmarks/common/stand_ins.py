"""Stand-ins for what cannot be shipped: LLaMA's weights and tokenizer, CLIP's and VGG's weights, pictures' words."""

import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
import torchvision
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig

from v2l.config.clip import OpenClipConfig
from v2l.models.llm import Llm
from v2l.runtime import Runtime

from .sizes import Size

PIECE = re.compile(r" ?\w+| ?[^\w\s]+|\s")
FIXED = ["<s>", "\n", "."]
LPIPS_WIDTHS = {"vgg": (64, 128, 256, 512, 512), "alex": (64, 192, 384, 256, 256)}


class StandInTokenizer:
    """A token a word or group of marks. Half of the ids are words with a blank before them, half without.

    LLaMA's cuts the prompts' own words alike, rare words into more pieces; those are spelt as several words here.
    """

    def __init__(self, size: int) -> None:
        self._texts = [*FIXED, *(f"{' ' * (i % 2 == 0)}w{i}" for i in range(len(FIXED), size))]
        self._ids = {text: i for i, text in enumerate(self._texts)}
        self.start_ids = [0]

    def __len__(self) -> int:
        return len(self._texts)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[self._id(piece) for piece in PIECE.findall(text)] for text in texts]

    def _id(self, piece: str) -> int:
        other = len(FIXED) + zlib.crc32(piece.encode()) % (len(self) - len(FIXED))
        return self._ids.get(piece, other)

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        return ["".join(self._texts[i] for i in ids) for ids in sequences]


def random_llm(size: Size, runtime: Runtime) -> Llm:
    """A LLaMA with random weights, made on its device."""
    config = LlamaConfig(vocab_size=size.vocabulary, **size.llm)
    with torch.device(runtime.device):
        model = AutoModelForCausalLM.from_config(config, dtype=runtime.dtype)
    model = model.to(runtime.device).eval().requires_grad_(False)
    tokenizer = StandInTokenizer(size.vocabulary)
    return Llm(model, tokenizer, config.max_position_embeddings, runtime.llm_batch_tokens)


def words(count: int, tokens: float, generator: np.random.Generator) -> list[str]:
    """Texts of so many tokens on average, at least one each, with a blank before every one as n-grams have it."""
    lengths = np.diff(np.floor(np.arange(count + 1) * tokens)).astype(int)
    return ["".join(f" w{2 * i}" for i in generator.integers(2, 250, max(1, length))) for length in lengths]


def random_clip(configured: OpenClipConfig, size: Size, folder: Path) -> OpenClipConfig:
    """The configured model without weights, or a small one that is made known to open_clip."""
    if size.clip is None:
        return OpenClipConfig(model=configured.model, pretrained=None)
    name = "v2l-benchmark"
    (folder / f"{name}.json").write_text(json.dumps(size.clip), encoding="utf-8")
    open_clip.add_model_config(folder)
    return OpenClipConfig(model=name, pretrained=None)


def write_networks(folder: Path) -> Path:
    """VGG16, AlexNet and LPIPS heads with random weights, as the stages read them; returns the manifest's path."""
    generator = torch.Generator().manual_seed(0)
    for name in ("vgg16", "alexnet"):
        with torch.device("meta"):
            features = getattr(torchvision.models, name)().features
        weights = {}
        for key, each in features.state_dict().items():
            scale = (2 / each[0].numel()) ** 0.5 if each.ndim > 1 else 0.0
            weights[f"features.{key}"] = scale * torch.randn(each.shape, generator=generator)
        save_file(weights, folder / f"{name}.safetensors")
    for net, widths in LPIPS_WIDTHS.items():
        heads = {f"lin{i}": torch.rand(1, width, 1, 1, generator=generator) for i, width in enumerate(widths)}
        save_file(heads, folder / f"lpips_{net}.safetensors")
    return folder / "manifest.json"
