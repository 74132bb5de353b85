"""Stage ``reconstruct``: decodes the tokens of held-out pictures and measures each reconstruction (paper, Table 3)."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from v2l.artifacts import read_arrays, read_rows, write_arrays, write_rows
from v2l.config.frechet import FrechetConfig
from v2l.config.reconstruct import ReconstructConfig
from v2l.data.images import load_pictures, to_tensor
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest
from v2l.errors import ArtifactError, DataError
from v2l.experiments.measures import PASS_PICTURES, Measures, filled_pass, measure, picture_png
from v2l.progress import Progress
from v2l.runtime import Runtime
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.kinds import load_tokenizer


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
    frechet: FrechetConfig,
    num_examples: int,
    name: str,
    runtime: Runtime,
) -> None:
    """Writes a row of distances and a pair of network features per picture, and some pictures before and after.

    name: of the tokenizer. Pictures are decoded from the stored tokens, clamped to [0, 1] and measured unrounded, in
    fp32. Raises ArtifactError or DataError for inputs that do not fit.
    """
    items = _read_items(manifest, global_tokens, local_tokens, config.max_images)
    model = load_tokenizer(tokenizer).to(runtime.device)
    codebook = torch.from_numpy(read_arrays(global_vectors, ["codebook"])["codebook"]).to(runtime.device)
    if (stored := items["global_ids"].str.len().min()) < model.config.num_global:
        raise ArtifactError(
            f"{global_tokens}: global_ids: expected at least {model.config.num_global} per picture, found {stored}"
        )
    shown = set(evenly_spaced(len(items), num_examples).tolist())
    measures = Measures.load(networks, runtime.device, frechet)
    tables, originals, decoded, pairs = [], [], [], []
    with Progress("reconstruct", len(items), "pictures") as progress:
        for start in range(0, len(items), PASS_PICTURES):
            batch = items.iloc[start : start + PASS_PICTURES]
            full = batch.iloc[filled_pass(np.arange(len(batch)))]
            pictures = to_tensor(load_pictures(manifest, full["path"].tolist(), model.config.image_size_px))
            pictures = pictures.to(runtime.device)
            reconstructions = decode_tokens(model, full, codebook)
            tables.append(measure(pictures, reconstructions, measures, config.psnr_channel)[: len(batch)])
            originals.append(measures.features(pictures)[: len(batch)].cpu().numpy())
            decoded.append(measures.features(reconstructions)[: len(batch)].cpu().numpy())
            pairs += [
                {
                    "image_id": batch["image_id"].iloc[index],
                    "class_name": batch["class_name"].iloc[index],
                    "original": picture_png(pictures[index]),
                    "reconstruction": picture_png(reconstructions[index]),
                }
                for index in range(len(batch))
                if start + index in shown
            ]
            progress.advance(len(batch))
    measured = pd.concat(tables, ignore_index=True)
    measured.insert(0, "image_id", items["image_id"])
    measured.insert(1, "tokenizer", name)
    write_rows(rows, measured)
    write_arrays(features, {"original": np.concatenate(originals), "reconstruction": np.concatenate(decoded)})
    write_rows(examples, pairs)


@torch.inference_mode()
def decode_tokens(model: ImageTokenizer, items: pd.DataFrame, global_codebook: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in [0, 1] from the columns local_ids and global_ids (the best num_global of them)."""
    device = global_codebook.device
    local_ids = torch.from_numpy(np.stack(items["local_ids"].tolist()).astype(np.int64)).to(device)
    num_global = model.config.num_global
    best = np.stack(items["global_ids"].tolist())[:, :num_global].astype(np.int64)
    vectors = global_codebook[torch.from_numpy(best).to(device)] if num_global else None
    return model.decode_ids(local_ids, vectors).clamp(0, 1)
