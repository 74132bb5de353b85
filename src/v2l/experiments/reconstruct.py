"""Stage ``reconstruct``: decodes the tokens of held-out pictures and measures each reconstruction (paper, Table 3)."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from v2l.artifacts import read_arrays, read_rows, write_arrays, write_rows
from v2l.config.reconstruct import ReconstructConfig
from v2l.data.images import load_pictures, to_tensor
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest
from v2l.errors import ArtifactError, DataError
from v2l.metrics.images import psnr, ssim
from v2l.models.perceptual import IMAGENET_MEAN, IMAGENET_STD, Lpips, load_trunk
from v2l.progress import Progress
from v2l.runtime import Runtime
from v2l.tokenizer.model import LocalTokenizer

PASS_PICTURES = 16  # always so many, the last ones repeated: another number may change the last bits of a measure


@dataclass(frozen=True)
class Measures:
    """The networks that a reconstruction is measured with, all fp32."""

    lpips_vgg: Lpips
    lpips_alex: Lpips
    trunk: torch.nn.Sequential

    @classmethod
    def load(cls, networks: Path, device: torch.device) -> "Measures":
        modules = Lpips(networks, "vgg"), Lpips(networks, "alex"), load_trunk(networks, "vgg16")
        return cls(*(module.to(device) for module in modules))

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> Tensor:
        """VGG16's last feature map, averaged over positions [B, 512], of pictures [B, 3, H, W] in [0, 1]."""
        mean, std = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return self.trunk((pictures - mean) / std).mean(dim=(2, 3))


@torch.inference_mode()
def measure(pictures: Tensor, reconstructions: Tensor, measures: Measures, config: ReconstructConfig) -> pd.DataFrame:
    """One row a picture; both [B, 3, H, W] in [0, 1]. Columns psnr (dB), ssim, lpips_vgg, lpips_alex."""
    columns = {
        "psnr": psnr(reconstructions, pictures, config.psnr_channel),
        "ssim": ssim(reconstructions, pictures),
        "lpips_vgg": measures.lpips_vgg(reconstructions, pictures),
        "lpips_alex": measures.lpips_alex(reconstructions, pictures),
    }
    return pd.DataFrame({name: values.double().cpu().numpy() for name, values in columns.items()})


def _png(picture: Tensor) -> bytes:
    buffer = io.BytesIO()
    pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _read_items(manifest: Path, global_tokens: Path, local_tokens: Path, max_images: int | None) -> pd.DataFrame:
    """Held-out pictures with their tokens. Raises DataError if there are none, ArtifactError if one has no tokens."""
    heldout = heldout_rows(read_manifest(manifest))
    if heldout.empty:
        raise DataError(f"{manifest}: column split: expected some rows with heldout, found none")
    chosen = heldout.iloc[evenly_spaced(len(heldout), max_images)]
    for file, column in ((global_tokens, "global_ids"), (local_tokens, "local_ids")):
        chosen = chosen.merge(read_rows(file, ["image_id", column]), on="image_id", how="left")
        if (absent := chosen[column].isna()).any():
            raise ArtifactError(f"{file}: expected tokens of {chosen['image_id'][absent].iloc[0]}, found none")
    return chosen


def reconstruct(
    manifest: Path,
    global_tokens: Path,
    local_tokens: Path,
    tokenizer: Path,
    global_vectors: Path,
    networks: Path,
    rows: Path,
    features: Path,
    examples: Path,
    config: ReconstructConfig,
    num_examples: int,
    runtime: Runtime,
) -> None:
    """Writes a row of distances and a pair of network features per picture, and some pictures before and after.

    Pictures are decoded from the stored tokens, clamped to [0, 1] and measured unrounded, in fp32.
    Raises ArtifactError or DataError for inputs that do not fit.
    """
    items = _read_items(manifest, global_tokens, local_tokens, config.max_images)
    model = LocalTokenizer.load(tokenizer).to(runtime.device)
    codebook = torch.from_numpy(read_arrays(global_vectors, ["codebook"])["codebook"]).to(runtime.device)
    if (stored := items["global_ids"].str.len().min()) < model.config.num_global:
        raise ArtifactError(
            f"{global_tokens}: global_ids: expected at least {model.config.num_global} per picture, found {stored}"
        )
    shown = set(evenly_spaced(len(items), num_examples).tolist())
    measures = Measures.load(networks, runtime.device)
    tables, originals, decoded, pairs = [], [], [], []
    with Progress("reconstruct", len(items), "pictures") as progress:
        for start in range(0, len(items), PASS_PICTURES):
            batch = items.iloc[start : start + PASS_PICTURES]
            full = batch.iloc[np.minimum(np.arange(PASS_PICTURES), len(batch) - 1)]
            pictures = to_tensor(load_pictures(manifest, full["path"].tolist(), model.config.image_size_px))
            pictures = pictures.to(runtime.device)
            reconstructions = decode_tokens(model, full, codebook)
            tables.append(measure(pictures, reconstructions, measures, config)[: len(batch)])
            originals.append(measures.features(pictures)[: len(batch)].cpu().numpy())
            decoded.append(measures.features(reconstructions)[: len(batch)].cpu().numpy())
            pairs += [
                {
                    "image_id": batch["image_id"].iloc[index],
                    "class_name": batch["class_name"].iloc[index],
                    "original": _png(pictures[index]),
                    "reconstruction": _png(reconstructions[index]),
                }
                for index in range(len(batch))
                if start + index in shown
            ]
            progress.advance(len(batch))
    measured = pd.concat(tables, ignore_index=True)
    measured.insert(0, "image_id", items["image_id"])
    write_rows(rows, measured)
    write_arrays(features, {"original": np.concatenate(originals), "reconstruction": np.concatenate(decoded)})
    write_rows(examples, pairs)


@torch.inference_mode()
def decode_tokens(model: LocalTokenizer, items: pd.DataFrame, global_codebook: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in [0, 1] from the columns local_ids and global_ids (the best num_global of them)."""
    device = global_codebook.device
    local_ids = torch.from_numpy(np.stack(items["local_ids"].tolist()).astype(np.int64)).to(device)
    num_global = model.config.num_global
    best = np.stack(items["global_ids"].tolist())[:, :num_global].astype(np.int64)
    vectors = global_codebook[torch.from_numpy(best).to(device)] if num_global else None
    return model.decode_ids(local_ids, vectors).clamp(0, 1)
