"""Stage ``restore``: the LLM restores degraded token maps in context (paper, Table 4 and Figure 7).

What a tokenizer has besides the map is the clean picture's when a map is decoded: the global tokens of V2L (for shift,
those of the whole picture that the clean crop is cut from), the coarser levels of an SPAE-like pyramid.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from v2l.artifacts import write_arrays, write_rows
from v2l.conditions import CLEAN, DEGRADED, RANDOM, RESTORED
from v2l.config.frechet import FrechetConfig
from v2l.config.llm import LlmConfig
from v2l.config.restore import RestoreProtocol, RestoreRun
from v2l.data.images import to_tensor
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest
from v2l.errors import ArtifactError, DataError
from v2l.experiments.measures import Measures, in_passes, measured_rows, picture_png
from v2l.experiments.restore_inputs import TaskSet, check_protocol, prepare
from v2l.experiments.windows import Restorer, filled_at_random
from v2l.models.llm import load_llm
from v2l.progress import Progress
from v2l.runtime import Runtime
from v2l.shards import WHOLE, Shard
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.inputs import read_global_vectors
from v2l.tokenizer.kinds import load_tokenizer

PICTURED = {DEGRADED: "degraded", RESTORED: "restored", CLEAN: "clean"}  # columns of the examples

Decode = Callable[[np.ndarray], Tensor]  # maps [N, grid * grid] to pictures [N, 3, H, W] in [0, 1]


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
    frechet: FrechetConfig,
    llm: LlmConfig,
    run: RestoreRun,
    name: str,
    seed: int,
    runtime: Runtime,
    shard: Shard = WHOLE,
) -> None:
    """Writes a row a picture, task and condition, a row a window, features for the Fréchet distance, some pictures.

    name: of the run. Pictures are decoded from ids, clamped to [0, 1] and compared with the clean picture itself.
    Raises ConfigError if the protocol does not fit the token map, ArtifactError or DataError for inputs that do not
    fit, ModelError if a prompt is longer than the LLM's context.
    """
    model = load_tokenizer(tokenizer).to(runtime.device)
    check_protocol(config, model.config)
    heldout = heldout_rows(read_manifest(manifest))
    if heldout.empty:
        raise DataError(f"{manifest}: column split: expected some rows with heldout, found none")
    chosen = heldout.iloc[evenly_spaced(len(heldout), config.max_images)]
    shown_ids = set(chosen["image_id"].iloc[evenly_spaced(len(chosen), config.num_examples)])
    chosen = shard.of(chosen).reset_index(drop=True)
    vectors = read_global_vectors(chosen["image_id"], global_tokens, global_vectors, model.config.num_global)
    measures = Measures.load(networks, runtime.device, frechet)  # first: what it lacks is found before hours of work
    llm = run.llm or llm
    language_model = load_llm(llm, runtime)
    if model.vocab_size > language_model.vocab_size:
        raise ArtifactError(
            f"{tokenizer}: expected ids of the {language_model.vocab_size} tokens of {llm.source}, "
            f"found {model.vocab_size} codes"
        )
    restorer = Restorer(language_model, config, model.config.grid, model.vocab_size, seed)
    sets = [prepare(task, chosen, manifest, model, config, seed, runtime.device) for task in config.tasks]
    jobs = [job for each in sets for job in each.jobs]
    with Progress(f"restoration, {name}", sum(len(restorer.windows(job.task)) for job in jobs), "windows") as progress:
        maps, windows = restorer.restore(jobs, progress.advance)

    tables: list[pd.DataFrame] = []
    arrays: dict[str, np.ndarray] = {}
    shown: list[pd.DataFrame] = []
    for number, each in enumerate(sets):
        places = [place for window in restorer.windows(each.task) for place in window]
        restored = np.stack(maps[number * len(chosen) : (number + 1) * len(chosen)])
        conditions = condition_maps(each, restored, places, model.vocab_size, seed)
        decode = make_decoder(model, each.ids, vectors, runtime.device)
        measured = measure_task(each, conditions, places, decode, measures, shown_ids, config, runtime.device)
        tables.append(measured.rows)
        arrays |= measured.features
        shown.append(measured.examples)
    order = chosen["image_id"].tolist()
    write_rows(rows, _labelled(_by_picture(tables, order), name))
    write_rows(decisions, _labelled(_by_picture([pd.DataFrame(windows)], order), name))
    write_arrays(features, arrays)
    write_rows(examples, _by_picture(shown, order).merge(chosen[["image_id", "class_name"]], on="image_id"))


def _by_picture(tables: Sequence[pd.DataFrame], order: Sequence[str]) -> pd.DataFrame:
    """All rows, picture by picture, so that the tables of shards follow each other."""
    table = pd.concat(tables)
    places = {image_id: place for place, image_id in enumerate(order)}
    return table.iloc[table["image_id"].map(places).argsort(kind="stable")].reset_index(drop=True)


def _labelled(table: pd.DataFrame, name: str) -> pd.DataFrame:
    table.insert(1, "tokenizer", name)
    return table


def condition_maps(
    each: TaskSet, restored: np.ndarray, places: Sequence[int], vocab_size: int, seed: int
) -> dict[str, np.ndarray]:
    """The maps [N, grid * grid] that each condition decodes. places: the positions that were predicted."""
    return {
        RESTORED: restored,
        DEGRADED: np.stack([job.degraded for job in each.jobs]),
        RANDOM: np.stack([filled_at_random(job, places, vocab_size, seed) for job in each.jobs]),
        CLEAN: np.stack([job.clean for job in each.jobs]),
    }


def make_decoder(model: ImageTokenizer, clean_ids: np.ndarray, vectors: Tensor | None, device: torch.device) -> Decode:
    """Decodes maps [C * N, grid * grid], N after N, in place of those among ``clean_ids`` [N, num_tokens]."""
    others = [] if vectors is None else [vectors.to(device)]

    @torch.inference_mode()
    def decode_pass(ids: Tensor, given: Tensor | None = None) -> Tensor:
        return model.decode_ids(ids, given).clamp(0, 1)

    def decode(maps: np.ndarray) -> Tensor:
        times = len(maps) // len(clean_ids)
        ids = np.concatenate([np.tile(clean_ids[:, : -maps.shape[1]], (times, 1)), maps], axis=1)
        repeated = [other.repeat(times, 1, 1) for other in others]
        return in_passes(decode_pass, torch.from_numpy(ids).to(device), *repeated)

    return decode


@dataclass(frozen=True)
class Measured:
    """Measures of a task: rows a picture and condition, features [N, 512] by name, and some pictures as PNG."""

    rows: pd.DataFrame
    features: dict[str, np.ndarray]
    examples: pd.DataFrame


def measure_task(
    each: TaskSet,
    conditions: dict[str, np.ndarray],
    places: Sequence[int],
    decode: Decode,
    measures: Measures,
    shown_ids: Collection[str],
    config: RestoreProtocol,
    device: torch.device,
) -> Measured:
    """Decodes the maps of every condition, all at once, and compares the pictures with the clean ones.

    shown_ids: of the pictures that are kept.
    """
    image_ids = [job.image_id for job in each.jobs]
    shown = [place for place, image_id in enumerate(image_ids) if image_id in shown_ids]
    clean = to_tensor(each.pictures).to(device)
    decoded = decode(np.concatenate(list(conditions.values())))
    vectors = in_passes(measures.features, torch.cat([clean, decoded])).cpu().numpy()
    names = [f"{each.task}/{condition}" for condition in ("original", *conditions)]
    features = dict(zip(names, np.split(vectors, len(names)), strict=True))
    measured = measured_rows(clean.repeat(len(conditions), 1, 1, 1), decoded, measures, config.psnr_channel)
    examples = pd.DataFrame({"image_id": [image_ids[i] for i in shown], "task": each.task})
    examples["original"] = [picture_png(clean[i]) for i in shown]
    tables = []
    for (condition, maps), pictures in zip(conditions.items(), decoded.chunk(len(conditions)), strict=True):
        equal = maps[:, places] == conditions[CLEAN][:, places]
        labels = {"image_id": image_ids, "task": each.task, "condition": condition}
        tables.append(pd.DataFrame({**labels, "tokens_restored": equal.mean(axis=1)}))
        if condition in PICTURED:
            examples[PICTURED[condition]] = [picture_png(pictures[i]) for i in shown]
    return Measured(pd.concat([pd.concat(tables, ignore_index=True), measured], axis=1), features, examples)
