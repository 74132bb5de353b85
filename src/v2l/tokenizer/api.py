"""The tokenizer for programmers: a picture to words and ids, ids back to a picture.

tokenizer = V2LTokenizer.load(Path("results/demo"))
tokens = tokenizer.encode(Path("cat.png"))
tokens.words                                            # the best global tokens as text
tokenizer.decode(tokens.global_ids, tokens.local_ids)   # a PIL image
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from v2l.artifacts import read_arrays, read_rows
from v2l.config.tree import load_config
from v2l.data.images import fit_square, read_image, to_rgb
from v2l.errors import ArtifactError
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.models.clip import Clip, load_clip
from v2l.runtime import resolve_runtime
from v2l.tokenizer.inputs import select_global_tokens
from v2l.tokenizer.local_tokens import encode_pictures
from v2l.tokenizer.model import LocalTokenizer


@dataclass(frozen=True)
class Tokens:
    """A picture in the LLM's vocabulary.

    words: text of the global tokens, best first.   global_ids: their rows in the global codebook.
    local_ids: token ids of the LLM, raster order.
    """

    words: list[str]
    global_ids: list[int]
    local_ids: list[int]


class V2LTokenizer:
    """Clip, codebooks and trained networks of one run; make it with ``load``."""

    def __init__(
        self,
        clip: Clip,
        tokenizer: LocalTokenizer,
        global_codebook: torch.Tensor,
        global_texts: Sequence[str],
        num_global: int,
        device: torch.device,
    ) -> None:
        self._clip = clip
        self._tokenizer = tokenizer.to(device)
        self._global_codebook = global_codebook
        self._global_texts = global_texts
        self._num_global = num_global
        self._device = device

    @classmethod
    def load(cls, results: Path, data: Path = Path("data")) -> "V2LTokenizer":
        """Reads a finished run, ``results/<name>``, and the frozen networks in ``data``.

        Raises ArtifactError or ConfigError naming what is missing.
        """
        config = load_config(results / "config.yaml")
        runtime = resolve_runtime(config.runtime, config.precision, config.threads)
        clip = load_clip(
            config.clip, runtime, head=results / "clip/head.safetensors", networks=data / "networks/manifest.json"
        )
        vectors = results / f"vocab/codebook_{config.vocab.main}.safetensors"
        codebook = torch.from_numpy(read_arrays(vectors, ["codebook"])["codebook"])
        texts = read_rows(results / f"vocab/codebook_{config.vocab.main}.parquet", ["text"])["text"].tolist()
        if len(texts) != len(codebook):
            raise ArtifactError(f"{vectors}: codebook: expected {len(texts)} rows, one per text, found {len(codebook)}")
        tokenizer = LocalTokenizer.load(results / f"tokenizer/{MAIN_TOKENIZER}.safetensors")
        return cls(clip, tokenizer, codebook, texts, config.tokens.num_global, runtime.device)

    def encode(self, image: Image.Image | Path | str) -> Tokens:
        """Global and local tokens of a picture: a file, or a PIL image in any mode.

        The picture is centre-cropped to a square. Raises DataError for a file that is no readable picture.
        """
        picture = to_rgb(image) if isinstance(image, Image.Image) else read_image(Path(image))
        feature = self._clip.encode_image(self._clip.preprocess(picture)[None])
        rows = select_global_tokens(feature, self._global_codebook, self._num_global, Path("global codebook"))
        global_ids = rows[0].tolist()
        pixels = fit_square(picture, self._tokenizer.config.image_size_px)
        local_ids = encode_pictures(self._tokenizer, pixels[None], self._device)[0].tolist()
        return Tokens([self._global_texts[row] for row in global_ids], global_ids, local_ids)

    @torch.inference_mode()
    def decode(self, global_ids: Sequence[int], local_ids: Sequence[int]) -> Image.Image:
        """The picture of these tokens. global_ids: best first; those beyond the decoder's number are not used."""
        num_global = self._tokenizer.config.num_global
        vectors = self._global_codebook[list(global_ids[:num_global])][None].to(self._device) if num_global else None
        ids = torch.tensor([list(local_ids)], device=self._device)
        pixels = self._tokenizer.decode_ids(ids, vectors)[0].clamp(0, 1)
        return Image.fromarray((pixels * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())
