"""The frozen two-tower model behind one interface: open_clip for the paper, a locked-text model for the default."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.func import functional_call

from v2l.artifacts import read_arrays
from v2l.config.clip import LockedTextConfig, OpenClipConfig
from v2l.data.images import fit_square, to_tensor
from v2l.errors import ModelError
from v2l.models.perceptual import IMAGENET_MEAN, IMAGENET_STD, load_trunk
from v2l.models.text_encoder import TextEncoder
from v2l.models.text_passes import encode_by_length
from v2l.models.weights import load_strictly
from v2l.runtime import Runtime

Advance = Callable[[int], None] | None
PASS_TOKENS = 64 * 77  # of texts: 64 of the longest


class Clip(Protocol):
    """A picture and a text as unit vectors of one space (paper: CLIP ViT-L/14, d = 768).

    dim: d.   size_px: side S of the picture the image tower sees.
    """

    dim: int
    size_px: int

    def preprocess(self, image: Image) -> Tensor:
        """RGB picture -> [3, S, S] float32 in [0, 1]: short side to S, centre crop."""

    def encode_image(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] float32 in [0, 1] -> [B, d] float32, unit length."""

    def encode_text(self, texts: Sequence[str], advance: Advance = None) -> Tensor:
        """[N] texts -> [N, d] float32, unit length."""


def normalise_pixels(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Shifts and scales [B, 3, H, W] pixels in [0, 1] channel by channel."""
    shape = (1, 3, 1, 1)
    return (pixels - pixels.new_tensor(mean).view(shape)) / pixels.new_tensor(std).view(shape)


class ImageTrunk:
    """VGG16's convolutions, frozen; the last feature map pooled by mean and by maximum to 1024 numbers."""

    dim = 1024

    def __init__(self, networks: Path, runtime: Runtime) -> None:
        trunk = load_trunk(networks, "vgg16").eval().requires_grad_(False)
        self._trunk = trunk.to(runtime.device, runtime.dtype, memory_format=torch.channels_last)
        self._runtime = runtime

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] float32 in [0, 1] -> [B, 1024] float32."""
        pixels = normalise_pixels(pixels.to(self._runtime.device), IMAGENET_MEAN, IMAGENET_STD)
        maps = self._trunk(pixels.to(self._runtime.dtype, memory_format=torch.channels_last)).float()
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1).cpu()


class ImageHead(nn.Module):
    """Standardises trunk features and maps them into the text space (locked-image tuning turned to the image side)."""

    def __init__(self, in_dim: int, hidden: int, out_dim: int, dropout: float = 0.0, input_noise: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_dim))
        self.register_buffer("std", torch.ones(in_dim))
        self.layers = nn.Sequential(
            nn.Linear(in_dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, out_dim)
        )
        self.input_noise = input_noise

    def forward(self, features: Tensor) -> Tensor:
        """[B, in_dim] -> [B, out_dim], unit length; noise and dropout act in training only."""
        standard = (features - self.mean) / self.std
        if self.training and self.input_noise > 0:
            standard = standard + self.input_noise * torch.randn_like(standard)
        return nn.functional.normalize(self.layers(standard), dim=-1)


def load_head(path: Path) -> ImageHead:
    """Reads a trained image head. Raises ArtifactError if the file is something else."""
    arrays = read_arrays(path, ["layers.0.weight", "layers.3.weight"])
    hidden, in_dim = arrays["layers.0.weight"].shape
    head = ImageHead(in_dim, hidden, arrays["layers.3.weight"].shape[0])
    load_strictly(head, {name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    return head.eval().requires_grad_(False)


class LockedTextClip:
    """Frozen text encoder and image trunk, an image head trained by this suite."""

    def __init__(self, size_px: int, head: Path, networks: Path, text_encoder: Path | None, runtime: Runtime) -> None:
        """``text_encoder`` may be left out where only pictures are encoded."""
        self._trunk = ImageTrunk(networks, runtime)
        self._head = load_head(head)
        self._text = TextEncoder(text_encoder.parent, runtime) if text_encoder else None
        self.size_px = size_px
        self.dim: int = self._head.layers[3].out_features

    def preprocess(self, image: Image) -> Tensor:
        return to_tensor(fit_square(image, self.size_px)[None])[0]

    def encode_image(self, pixels: Tensor) -> Tensor:
        return self._head(self._trunk.encode(pixels))

    def encode_text(self, texts: Sequence[str], advance: Advance = None) -> Tensor:
        if self._text is None:
            raise ValueError("this LockedTextClip was made without a text encoder")
        return self._text.encode(texts, advance)


class OpenClip:
    """Any open_clip model, e.g. ``ViT-L-14`` with ``openai`` weights."""

    def __init__(self, config: OpenClipConfig, runtime: Runtime) -> None:
        """Raises ModelError for an unknown model or weights that cannot be loaded."""
        import open_clip  # slow to import; the default does without

        # Weights of some tags, OpenAI's among them, were trained with an activation that the model's name leaves open.
        known = open_clip.get_pretrained_cfg(config.model.replace("/", "-"), config.pretrained or "")
        quick_gelu = known.get("quick_gelu", False)
        try:
            self._model = open_clip.create_model(config.model, config.pretrained, force_quick_gelu=quick_gelu)
        except Exception as error:  # open_clip raises bare RuntimeErrors and whatever the download raises
            raise ModelError(
                f"clip: open_clip model {config.model!r} with weights {config.pretrained!r} cannot be loaded "
                f"({str(error).splitlines()[0]})"
            ) from None
        self._model = self._model.eval().requires_grad_(False).to(runtime.device, runtime.dtype)
        self._tokenizer = open_clip.get_tokenizer(config.model)
        size = self._model.visual.image_size
        self.size_px: int = size if isinstance(size, int) else size[0]
        preprocessing = open_clip.get_model_preprocess_cfg(self._model)
        self._mean, self._std = preprocessing["mean"], preprocessing["std"]
        self._runtime = runtime
        # What CLIP's own text tower makes of a text is read off its end, which sees nothing that follows: padding is
        # left out. Other towers (SigLIP's sees all tokens, CoCa's has one of its own) get it.
        model = self._model
        self._needs_no_padding = (
            isinstance(model, open_clip.CLIP) and model.text_pool_type == "argmax" and model.attn_mask is not None
        )
        self.dim: int = self.encode_ids(self._tokenizer(["a"])).shape[1]

    def preprocess(self, image: Image) -> Tensor:
        return to_tensor(fit_square(image, self.size_px)[None])[0]

    @torch.no_grad()
    def encode_image(self, pixels: Tensor) -> Tensor:
        pixels = normalise_pixels(pixels.to(self._runtime.device), self._mean, self._std)
        return self._model.encode_image(pixels.to(self._runtime.dtype), normalize=True).float().cpu()

    def encode_text(self, texts: Sequence[str], advance: Advance = None) -> Tensor:
        encodings = self._tokenizer(list(texts))  # [N, context], padded behind its end, which has the highest id
        if self._needs_no_padding:
            lengths = (encodings.argmax(dim=1) + 1).tolist()
            encodings = [ids[:length] for ids, length in zip(encodings.tolist(), lengths, strict=True)]
        else:
            encodings = encodings.tolist()
        return encode_by_length(encodings, self.dim, lambda length: PASS_TOKENS // length, self.encode_ids, advance)

    @torch.no_grad()
    def encode_ids(self, ids: Tensor) -> Tensor:
        """[B, L] tokens of texts of one length -> [B, d], unit length."""
        model, ids = self._model, ids.to(self._runtime.device)
        if not self._needs_no_padding:
            return model.encode_text(ids, normalize=True)
        length = ids.shape[1]
        shorter = {
            "positional_embedding": model.positional_embedding[:length],
            "attn_mask": model.attn_mask[:length, :length],
        }
        _, vectors, *_ = functional_call(model, shorter, kwargs={"text": ids})
        return vectors


def load_clip(
    config: LockedTextConfig | OpenClipConfig,
    runtime: Runtime,
    head: Path | None = None,
    networks: Path | None = None,
    text_encoder: Path | None = None,
) -> Clip:
    """The model that the configuration names; the files are those of the locked-text kind."""
    if isinstance(config, OpenClipConfig):
        return OpenClip(config, runtime)
    if head is None or networks is None:
        raise ModelError("clip.kind locked_text: needs the trained head and the fetched networks")
    return LockedTextClip(config.trunk_size_px, head, networks, text_encoder, runtime)
