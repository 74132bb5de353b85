"""Stage ``restore``: the LLM restores degraded token maps in context (paper, Table 4 and Figure 7).

The map is the last grid x grid ids of a picture. What a tokenizer has besides it is the clean picture's: the global
tokens of V2L, the coarser levels of an SPAE-like pyramid.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from v2l.artifacts import write_arrays, write_rows
from v2l.config.llm import LlmConfig
from v2l.config.restore import RestoreProtocol
from v2l.data.degradations import blurred, centre_and_corner, covered, larger_side, rotated
from v2l.data.images import load_pictures, to_tensor
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest
from v2l.errors import ConfigError, DataError
from v2l.experiments.measures import Measures, in_passes, measured_rows, picture_png
from v2l.experiments.windows import SEQUENTIAL, Job, Restorer, filled_at_random
from v2l.models.llm import load_llm
from v2l.progress import Progress
from v2l.runtime import Runtime
from v2l.seeds import numpy_generator
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.inputs import read_global_vectors
from v2l.tokenizer.kinds import load_tokenizer
from v2l.tokenizer.local_tokens import encode_pictures

RESTORED, DEGRADED, RANDOM, CLEAN = "restored", "degraded tokens", "random tokens", "clean tokens"
CONDITIONS = (RESTORED, DEGRADED, RANDOM, CLEAN)

logger = logging.getLogger(__name__)


def restore(
    manifest: Path,
    tokenizer: Path,
    global_tokens: Path,
    global_vectors: Path,
    networks: Path,
    rows: Path,
    decisions: Path,
    features: Path,
    examples: Path,
    config: RestoreProtocol,
    llm: LlmConfig,
    name: str,
    seed: int,
    runtime: Runtime,
) -> None:
    """Writes a row a picture, task and condition, a row a window, features for the Fréchet distance, some pictures.

    name: of the tokenizer. Pictures are decoded from ids, clamped to [0, 1] and compared with the clean picture itself.
    Raises ConfigError if the protocol does not fit the token map, ArtifactError or DataError for inputs that do not
    fit.
    """
    model = load_tokenizer(tokenizer).to(runtime.device)
    check_protocol(config, model.config.grid)
    heldout = heldout_rows(read_manifest(manifest))
    if heldout.empty:
        raise DataError(f"{manifest}: column split: expected some rows with heldout, found none")
    chosen = heldout.iloc[evenly_spaced(len(heldout), config.max_images)]
    vectors = read_global_vectors(chosen["image_id"], global_tokens, global_vectors, model.config.num_global)
    pictures = {task: degrade(task, chosen, manifest, model, config, seed) for task in config.tasks}
    codes = {task: [encode_pictures(model, part, runtime.device) for part in pair] for task, pair in pictures.items()}

    map_start = model.num_tokens - model.config.grid**2
    jobs = [
        make_job(image_id, task, *(ids[i, map_start:] for ids in codes[task]), config, model.config.grid)
        for task in config.tasks
        for i, image_id in enumerate(chosen["image_id"])
    ]
    restorer = Restorer(load_llm(llm, runtime), config, model.config.grid, model.vocab_size, seed)
    with Progress(f"restoration, {name}", sum(len(restorer.windows(job.task)) for job in jobs), "windows") as progress:
        restored, windows = restorer.restore(jobs, progress.advance)

    measures = Measures.load(networks, runtime.device)
    tables, arrays, shown = [], {}, []
    for task in config.tasks:
        clean = to_tensor(pictures[task][0]).to(runtime.device)
        arrays[f"{task}/original"] = in_passes(measures.features, clean)
        mine = [j for j, job in enumerate(jobs) if job.task == task]
        places = [place for window in restorer.windows(task) for place in window]
        decoded = {}
        for condition in CONDITIONS:
            maps = np.stack([_map(condition, jobs[j], restored[j], restorer, model.vocab_size, seed) for j in mine])
            ids = codes[task][0].copy()
            ids[:, map_start:] = maps
            decoded[condition] = in_passes(
                lambda part, given=None: _decode(model, part, given), torch.from_numpy(ids).to(runtime.device),
                *([] if vectors is None else [vectors.to(runtime.device)]),
            )  # fmt: skip
            arrays[f"{task}/{condition}"] = in_passes(measures.features, decoded[condition])
            correct = maps[:, places] == codes[task][0][:, map_start:][:, places]
            labels = {"tokenizer": name, "task": task, "condition": condition}
            table = pd.DataFrame({"image_id": chosen["image_id"].to_numpy(), **labels})
            measured = measured_rows(clean, decoded[condition], measures, config.psnr_channel)
            tables.append(pd.concat([table.assign(tokens_restored=correct.mean(axis=1)), measured], axis=1))
        shown += _examples(chosen, task, clean, decoded, config.num_examples)
    write_rows(rows, pd.concat(tables, ignore_index=True))
    write_rows(decisions, pd.DataFrame(windows).assign(tokenizer=name))
    write_arrays(features, {key: array.cpu().numpy() for key, array in arrays.items()})
    write_rows(examples, pd.DataFrame(shown))


def check_protocol(config: RestoreProtocol, grid: int) -> None:
    """Raises ConfigError if a task's window, n or m do not fit a map of grid x grid."""
    for task in config.tasks:
        try:
            config.region(task, grid)
        except ValueError as error:
            raise ConfigError(f"restore.protocol: {error}") from None


def degrade(
    task: str, chosen: pd.DataFrame, manifest: Path, model: ImageTokenizer, config: RestoreProtocol, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clean and degraded pictures of a task, both uint8 [N, size, size, 3]."""
    size, paths = model.config.image_size_px, chosen["path"].tolist()
    if task == "shift":
        large = load_pictures(manifest, paths, larger_side(size, config.shift_share))
        crops = [centre_and_corner(picture, size) for picture in large]
        return np.stack([centre for centre, _ in crops]), np.stack([corner for _, corner in crops])
    clean = load_pictures(manifest, paths, size)
    if task == "rotation":
        return clean, np.stack([rotated(picture) for picture in clean])
    if task == "deblurring":
        generators = [numpy_generator(seed, "blur", image_id) for image_id in chosen["image_id"]]
        pairs = zip(clean, generators, strict=True)
        return clean, np.stack([blurred(picture, config.blur_kernels, generator) for picture, generator in pairs])
    region, scale = config.region(task, model.config.grid), model.config.downsampling
    sides = [scale * side for side in (region.top, region.left, region.height, region.width)]
    return clean, np.stack([covered(picture, *sides) for picture in clean])


def make_job(
    image_id: str, task: str, clean: np.ndarray, degraded: np.ndarray, config: RestoreProtocol, grid: int
) -> Job:  # fmt: skip
    """The maps of a picture in a task; where a part is to be filled in, the rest keeps its clean tokens."""
    if task in SEQUENTIAL:
        region = config.region(task, grid)
        kept = np.ones((grid, grid), dtype=bool)
        kept[region.top : region.top + region.height, region.left : region.left + region.width] = False
        degraded = np.where(kept.ravel(), clean, degraded)
    return Job(image_id, task, clean, degraded)


def _map(
    condition: str, job: Job, restored: np.ndarray, restorer: Restorer, vocab_size: int, seed: int
) -> np.ndarray:  # fmt: skip
    """The map that a condition decodes, [grid * grid]."""
    if condition == RESTORED:
        return restored
    if condition == RANDOM:
        return filled_at_random(job, restorer.windows(job.task), vocab_size, seed)
    return job.degraded if condition == DEGRADED else job.clean


@torch.inference_mode()
def _decode(model: ImageTokenizer, ids: Tensor, vectors: Tensor | None) -> Tensor:
    return model.decode_ids(ids, vectors).clamp(0, 1)


def _examples(
    chosen: pd.DataFrame, task: str, clean: Tensor, decoded: dict[str, Tensor], count: int
) -> Sequence[dict[str, object]]:
    return [
        {
            "image_id": chosen["image_id"].iloc[i],
            "class_name": chosen["class_name"].iloc[i],
            "task": task,
            "original": picture_png(clean[i]),
            "degraded": picture_png(decoded[DEGRADED][i]),
            "restored": picture_png(decoded[RESTORED][i]),
            "clean": picture_png(decoded[CLEAN][i]),
        }
        for i in range(min(count, len(chosen)))
    ]
