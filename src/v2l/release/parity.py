"""``v2l check-parity``: does a checkpoint in the release's key names give here what the authors' code gave.

The expected outputs are a safetensors file: inputs ``image`` [B, 3, H, W] in [-1, 1] and ``clip_feature`` [B, d],
outputs ``local_ids`` [B, h*w], ``global_ids`` [B, Kg], ``reconstruction`` [B, 3, H, W] in [-1, 1] and, where stored,
``encoder_feature`` [B, d, h, w] and ``quantizer_loss`` [1].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from v2l.errors import ArtifactError
from v2l.models.weights import read_tensors
from v2l.release.spec import load_release
from v2l.tokenizer.model import LocalTokenizer
from v2l.tokenizer.quantizers import nearest_rows, quantizer_loss

TIE = 1e-5  # difference of two distances within which either id is right
PICTURE_TOLERANCE = 1e-4  # of pictures in [0, 1]
IDS = ("local_ids", "global_ids")
REQUIRED = ("image", "clip_feature", *IDS, "reconstruction")


@dataclass(frozen=True)
class Comparison:
    """One output. difference: the largest, in absolute value.   differing: ids that are others, ``ties`` of them at
    equal distance.   tolerance: of ``difference``; None where the output decides nothing by itself."""

    output: str
    difference: float
    tolerance: float | None = None
    differing: int | None = None
    ties: int = 0

    @property
    def passed(self) -> bool:
        if self.differing is not None and self.differing > self.ties:
            return False
        return self.tolerance is None or self.difference <= self.tolerance

    def __str__(self) -> str:
        parts = [f"{self.output:<16} largest difference {self.difference:.2e}"]
        if self.tolerance is not None:
            parts[0] += f" (at most {self.tolerance:.0e})"
        if self.differing is not None:
            parts.append(f"{self.differing} differing ids, {self.ties} of them ties within {TIE:.0e}")
        return ", ".join(parts) + ("" if self.passed else ": FAILED")


def check_parity(checkpoint: Path, expected: Path, spec: Path) -> list[Comparison]:
    """Compares every stored output. Raises ArtifactError for files that are unreadable or do not fit each other."""
    stored = _read_expected(expected)
    tokenizer, codebook = load_release(spec, checkpoint, unit_features=_unit_features(stored))
    _check_shapes(stored, tokenizer, codebook, expected)
    with torch.inference_mode():
        return list(_compare(tokenizer, codebook, stored))


def _read_expected(expected: Path) -> dict[str, Tensor]:
    """The stored inputs and outputs: ids int64, all else float32."""
    stored, _ = read_tensors(expected)
    if absent := [name for name in REQUIRED if name not in stored]:
        raise ArtifactError(f"{expected}: expected tensor(s) {', '.join(absent)}, found {', '.join(sorted(stored))}")
    if empty := [name for name in REQUIRED if stored[name].ndim < 2 or not stored[name].numel()]:
        name, shape = empty[0], list(stored[empty[0]].shape)
        raise ArtifactError(f"{expected}: {name}: expected one or more pictures, found shape {shape}")
    for name in IDS:
        if stored[name].is_floating_point():
            raise ArtifactError(f"{expected}: {name}: expected whole numbers, found {stored[name].dtype}")
    return {name: tensor.long() if name in IDS else tensor.float() for name, tensor in stored.items()}


def _unit_features(stored: dict[str, Tensor]) -> bool:
    """Whether the code that wrote the outputs scaled the features to unit length: of widths other than CLIP's, where
    the release does not, there are checkpoints of either kind."""
    features = stored.get("encoder_feature")
    return features is None or features.ndim != 4 or bool(((features.norm(dim=1) - 1).abs() < 1e-2).all())


def _check_shapes(stored: dict[str, Tensor], tokenizer: LocalTokenizer, codebook: Tensor, expected: Path) -> None:
    config, batch = tokenizer.config, stored["image"].shape[0]
    side = config.image_size_px
    shapes = {
        "image": [batch, 3, side, side],
        "clip_feature": [batch, codebook.shape[1]],
        "local_ids": [batch, tokenizer.num_tokens],
        "global_ids": [batch, stored["global_ids"].shape[-1]],
        "reconstruction": [batch, 3, side, side],
        "encoder_feature": [batch, config.code_dim, config.grid, config.grid],
    }
    for name, shape in shapes.items():
        if name in stored and list(stored[name].shape) != shape:
            raise ArtifactError(f"{expected}: {name}: expected shape {shape}, found {list(stored[name].shape)}")
    found = stored["global_ids"].shape[-1]
    if config.num_global not in (0, found) or found > len(codebook):
        number = config.num_global or f"at most {len(codebook)}"
        raise ArtifactError(f"{expected}: global_ids: expected {number} a picture, found {found}")
    for name, rows in {"local_ids": tokenizer.vocab_size, "global_ids": len(codebook)}.items():
        low, high = int(stored[name].min()), int(stored[name].max())
        if low < 0 or high >= rows:
            raise ArtifactError(f"{expected}: {name}: expected ids in 0..{rows - 1}, found {low}..{high}")


def _compare(tokenizer: LocalTokenizer, codebook: Tensor, stored: dict[str, Tensor]) -> Iterator[Comparison]:
    features = tokenizer.encode((stored["image"] + 1) / 2)
    if "encoder_feature" in stored:
        yield Comparison("encoder_feature", _largest(features, stored["encoder_feature"]))
    global_ids = stored["global_ids"]
    found = nearest_rows(stored["clip_feature"], codebook, global_ids.shape[1])
    direction = F.normalize(stored["clip_feature"], dim=1)[:, None]
    yield _compare_ids("global_ids", direction, codebook[found], codebook[global_ids], found != global_ids)
    local_ids = stored["local_ids"]
    found = tokenizer.nearest(features)
    codes = tokenizer.lookup(found), tokenizer.lookup(local_ids)
    yield _compare_ids("local_ids", features.flatten(2).mT, *codes, found != local_ids)
    if "quantizer_loss" in stored:
        yield Comparison(
            "quantizer_loss",
            _largest(quantizer_loss(features, tokenizer.features_of(local_ids), 0.33), stored["quantizer_loss"].mean()),
        )
    # Random weights magnify rounding, so the nearer of two precisions counts: a wrong network is far off in both.
    pictures = [_decode(tokenizer, codebook, stored, dtype) for dtype in (torch.float32, torch.float64)]
    differences = [_largest(picture, (stored["reconstruction"] + 1) / 2) for picture in pictures]
    yield Comparison("reconstruction", min(differences), PICTURE_TOLERANCE)


def _decode(tokenizer: LocalTokenizer, codebook: Tensor, stored: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
    """Pictures in [0, 1] from the stored ids: where a tie fell the other way, those of the two ids differ rightly."""
    tokenizer = tokenizer.to(dtype)
    vectors = codebook[stored["global_ids"]].to(dtype) if tokenizer.config.num_global else None
    return tokenizer.decode_ids(stored["local_ids"], vectors)


def _largest(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).abs().max())


def _compare_ids(name: str, query: Tensor, found: Tensor, expected: Tensor, differs: Tensor) -> Comparison:
    """query: [B, 1 or n, d].   found, expected: vectors [B, n, d] of the ids of either side.   differs: [B, n] bool.

    The difference is that of the squared distances to the two ids of a place.
    """
    distances = [(query.double() - vectors.double()).square().sum(dim=-1) for vectors in (found, expected)]
    apart = (distances[0] - distances[1]).abs()
    ties = int((differs & (apart <= TIE)).sum())
    return Comparison(name, float(apart.max()), differing=int(differs.sum()), ties=ties)
