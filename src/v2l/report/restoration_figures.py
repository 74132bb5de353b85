"""Restored pictures: in context by task (paper, Figure 7), and masked ones before and after tuning (Figure 8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from v2l.artifacts import read_rows
from v2l.conditions import AFTER, BEFORE, MASKED, RANDOM
from v2l.errors import ArtifactError
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.metrics.entries import Metrics, metric_key
from v2l.report.cells import ordered
from v2l.report.display import DISPLAYS, METHODS
from v2l.report.grids import GridRow, decode_png, picture_grid, stored_name
from v2l.report.picture_tables import TASKS, what_is_restored

# Columns of the stored examples, each with what it shows.
RESTORATION = {"degraded": "degraded", "restored": "restored", "clean": "clean tokens"}
SHOWN_MASKED = {
    "original": "picture",
    "masked": "input: masked tokens",
    "before": "filled in before tuning",
    "after": "filled in after tuning",
    "clean": "clean tokens",
}


@dataclass(frozen=True)
class Shown:
    """A picture in several states, uint8 [H, W, 3] each, by the names of their columns."""

    image_id: str
    class_name: str
    states: Mapping[str, np.ndarray]


# Pictures of a task by tokenizer and image_id.
Restored = dict[str, dict[str, dict[str, Shown]]]


def read_shown(row: Any, columns: Sequence[str], file: Path) -> Shown:
    """Raises ArtifactError if stored bytes are no picture."""
    states = {column: decode_png(getattr(row, column), file, row.image_id) for column in columns}
    return Shown(row.image_id, row.class_name, states)


def read_restored(files: Sequence[Path]) -> Restored:
    """By task, tokenizer and picture. files: ``examples_<tokenizer>.parquet``.

    Raises ArtifactError if no file has a picture, or bytes that are none.
    """
    columns = ("original", *RESTORATION)
    restored: Restored = {}
    for file in files:
        name = stored_name(file, "examples_")
        for row in read_rows(file, ["image_id", "class_name", "task", *columns]).itertuples():
            restored.setdefault(row.task, {}).setdefault(name, {})[row.image_id] = read_shown(row, columns, file)
    if not restored:
        found = ", ".join(map(str, files)) or "no file"
        raise ArtifactError(f"{found}: expected restored pictures, found none")
    return restored


def leading(restored: Restored) -> str:
    """The tokenizer that is shown in all states: V2L, or the first that is there."""
    names = {name for by_tokenizer in restored.values() for name in by_tokenizer}
    return ordered(names, METHODS)[0]


def choose_shown(restored: Restored) -> dict[str, str]:
    """A picture for each task: of the pictures of all tasks the next one that the task has."""
    chosen = {}
    for place, task in enumerate(ordered(restored, TASKS)):
        by_tokenizer = restored[task]
        pictures = list(by_tokenizer[ordered(by_tokenizer, METHODS)[0]])
        chosen[task] = pictures[place % len(pictures)]
    return chosen


def restoration_figure(restored: Restored) -> Figure:
    """A line for each task: the picture, V2L's degraded, restored and clean tokens, then what others restore."""
    lead = leading(restored)
    others = [name for name in ordered({name for part in restored.values() for name in part}, METHODS) if name != lead]
    label = METHODS.get(lead, lead)
    headings = [
        "picture",
        *(f"{label}: {text}" for text in RESTORATION.values()),
        *(f"{METHODS.get(name, name)}: restored" for name in others),
    ]
    rows = []
    for task, image_id in choose_shown(restored).items():
        shown = {name: pictures[image_id].states for name, pictures in restored[task].items() if image_id in pictures}
        states = shown.get(lead, {})
        original = shown[ordered(shown, METHODS)[0]]["original"]
        pictures = [original, *(states.get(column) for column in RESTORATION)]
        rows.append(GridRow(task, [*pictures, *(shown.get(name, {}).get("restored") for name in others)]))
    return picture_grid(rows, headings)


def restoration_caption(restored: Restored, metrics: Metrics, seed: int) -> str:
    """metrics: of the stage ``restore-metrics``."""
    lead = leading(restored)
    label = METHODS.get(lead, lead)
    ids = "; ".join(f"{task} {image_id}" for task, image_id in choose_shown(restored).items())
    return (
        "Held-out pictures whose token maps the frozen LLM restores in context, a line a task; the pictures kept are "
        "taken in turn. All but the first column are decoded from tokens: degraded, restored and clean ones of "
        f"{label}, then the restored ones of the other tokenizers. To see: {what_is_restored(metrics, lead)}. "
        f"No error bars: single pictures; Table 4 has the means with their intervals. Seed {seed}. Pictures: {ids}."
    )


def read_masked(file: Path) -> list[Shown]:
    """Raises ArtifactError if there is no picture, or bytes that are none."""
    rows = read_rows(file, ["image_id", "class_name", *SHOWN_MASKED])
    if rows.empty:
        raise ArtifactError(f"{file}: expected pictures, found none")
    return [read_shown(row, list(SHOWN_MASKED), file) for row in rows.itertuples()]


def masked_figure(items: Sequence[Shown]) -> Figure:
    """A line for each picture: itself, masked, filled in before and after tuning, and from all of its own tokens."""
    return picture_grid(
        [GridRow(item.class_name, [item.states[column] for column in SHOWN_MASKED]) for item in items],
        list(SHOWN_MASKED.values()),
    )


def masked_caption(items: Sequence[Shown], metrics: Metrics, seed: int) -> str:
    """metrics: of the stage ``masked-metrics``."""
    ids = ", ".join(item.image_id for item in items)
    return (
        f"Held-out pictures ({len(items)}, evenly spaced), some of whose local tokens are masked at random and filled "
        "in by the LLM, as it is and tuned with LoRA on maps of training pictures. All but the first column are "
        f"decoded by {METHODS[MAIN_TOKENIZER]} with the picture's own global tokens; in the input the features of "
        f"masked tokens are set to 0. To see: {_tuning(metrics)}. "
        f"No error bars: single pictures; Table 7 has the means with their intervals. Seed {seed}. Pictures: {ids}."
    )


def _tuning(metrics: Metrics) -> str:
    """What tuning changes, and whether filling in betters the masked input."""

    def entry(measure: str, condition: str) -> dict[str, Any] | None:
        return metrics.get(metric_key(measure, condition=condition))

    parts = []
    tokens, lpips = DISPLAYS["tokens_restored"], DISPLAYS["lpips_vgg"]
    before, after, floor = (entry("tokens_restored", name) for name in (BEFORE, AFTER, RANDOM))
    if before and after:
        beside = f" (random ids: {tokens.number(floor['value'])} %)" if floor else ""
        parts.append(
            f"tuning takes the share of masked tokens restored from {tokens.number(before['value'])} to "
            f"{tokens.number(after['value'])} %{beside}, mean of {after['n']:,} pictures"
        )
    before, after, masked = (entry("lpips_vgg", name) for name in (BEFORE, AFTER, MASKED))
    if before and after and masked:
        nearer = "nearer to" if after["value"] < masked["value"] else "no nearer to"
        parts.append(
            f"by mean {lpips.label} ({lpips.number(before['value'])} before, {lpips.number(after['value'])} after) "
            f"the pictures filled in after tuning are {nearer} the clean picture than the masked input "
            f"({lpips.number(masked['value'])})"
        )
    return "; ".join(parts) or "the pictures themselves; they were not measured in this run"
