"""Captions and answers of the frozen LLM beside their pictures (paper, Figure 5)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from v2l.artifacts import read_rows
from v2l.conditions import PICTURE_WORDS, RANDOM_WORDS
from v2l.data.images import fit_square, read_image
from v2l.data.manifest import evenly_spaced
from v2l.errors import ArtifactError
from v2l.metrics.caption_scores import tokenize
from v2l.metrics.entries import select_rows
from v2l.report.cells import ordered
from v2l.report.display import DISPLAYS
from v2l.report.grids import LINE_IN, WIDTH_IN, fit_lines, readable, show_picture
from v2l.report.pictures import PICTURE_PX, PictureWords

HEADINGS = ("Image captioning", "Visual question answering")
PICTURE_IN = 0.9
LABEL_POINTS = 48
TEXT_POINTS = 72 * (WIDTH_IN / 2 - PICTURE_IN) - LABEL_POINTS - 8  # what labels, pictures and gaps leave
LINE_POINTS = 72 * LINE_IN
RIGHT, PARTLY, WRONG = "C2", "C4", "C1"


@dataclass(frozen=True)
class Answered:
    """A picture, uint8 [H, W, 3], and lines about it: label, text and the most lines of type it may take.

    verdict: how right the answer is, as text and colour.
    """

    item_id: str
    picture: np.ndarray
    lines: Sequence[tuple[str, str, int]]
    verdict: tuple[str, str]


def read_captions(file: Path) -> pd.DataFrame:
    """Raises ArtifactError if no caption was made from a picture's words."""
    return _read(file, ["image_id", "condition", "prediction", "references", "cider_d", "rouge_l"])


def read_answers(file: Path) -> pd.DataFrame:
    """Raises ArtifactError if no answer was made from a picture's words."""
    return _read(
        file, ["question_id", "image_id", "question", "condition", "prediction", "answers", "accuracy", "answer_type"]
    )


def _read(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    rows = read_rows(file, columns)
    if not (rows["condition"] == PICTURE_WORDS).any():
        raise ArtifactError(f"{file}: column condition: expected some rows with {PICTURE_WORDS}, found none")
    return rows


def choose(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """``count`` rows of those from a picture's words, evenly spaced, in the order of the file: none is picked."""
    own = select_rows(rows, {"condition": PICTURE_WORDS})
    return own.iloc[evenly_spaced(len(own), count)]


def captioned(chosen: pd.DataFrame, manifest: Path, paths: Mapping[str, str], words: PictureWords) -> list[Answered]:
    """paths: of pictures, relative to the manifest. Raises DataError, ArtifactError for a picture that is missing."""
    items = []
    for row in chosen.itertuples():
        lines = [
            ("words", _words(words, row.image_id), 2),
            ("LLM", readable(row.prediction), 3),
            ("reference", "; ".join(map(readable, row.references)), 2),
        ]
        items.append(Answered(row.image_id, _picture(row.image_id, manifest, paths), lines, _caption_verdict(row)))
    return items


def answered(chosen: pd.DataFrame, manifest: Path, paths: Mapping[str, str], words: PictureWords) -> list[Answered]:
    """paths: of pictures, relative to the manifest. Raises DataError, ArtifactError for a picture that is missing."""
    items = []
    for row in chosen.itertuples():
        given = Counter(map(readable, row.answers)).most_common(3)
        lines = [
            ("words", _words(words, row.image_id), 2),
            ("question", readable(row.question), 2),
            ("LLM", readable(row.prediction), 2),
            ("reference", ", ".join(f"{answer} ({count})" for answer, count in given), 2),
        ]
        verdict = _answer_verdict(row.accuracy)
        items.append(Answered(row.question_id, _picture(row.image_id, manifest, paths), lines, verdict))
    return items


def _words(words: PictureWords, image_id: str) -> str:
    return "; ".join(text for text, _ in words.of(image_id)) + "; …"


def _picture(image_id: str, manifest: Path, paths: Mapping[str, str]) -> np.ndarray:
    if image_id not in paths:
        raise ArtifactError(f"{manifest}: expected a row for picture {image_id}, found none")
    return fit_square(read_image(manifest.parent / paths[image_id]), PICTURE_PX)


def _equals_reference(row: Any) -> bool:
    return tokenize(row.prediction) in [tokenize(text) for text in row.references]


def _caption_verdict(row: Any) -> tuple[str, str]:
    if _equals_reference(row):
        return "✓ as a reference", RIGHT
    score = f"ROUGE-L {DISPLAYS['rouge_l'].number(row.rouge_l)}"
    return (f"~ shares words, {score}", PARTLY) if row.rouge_l > 0 else ("✗ shares no word", WRONG)


def _answer_verdict(accuracy: float) -> tuple[str, str]:
    share = f"accuracy {DISPLAYS['vqa_accuracy'].number(accuracy)} %"
    if accuracy >= 1:
        return f"✓ right: {share}", RIGHT
    return (f"~ in part: {share}", PARTLY) if accuracy > 0 else (f"✗ wrong: {share}", WRONG)


def language_figure(captions: Sequence[Answered], answers: Sequence[Answered]) -> Figure:
    """Captions on the left, answers on the right, each picture with its lines beside it."""
    heights = [
        max(PICTURE_IN, *((_num_lines(item) + 0.8) * LINE_IN for item in line if item))
        for line in zip_longest(captions, answers)
    ]
    figure = Figure(figsize=(WIDTH_IN, sum(heights) + 0.08 * len(heights) + 0.3))
    text_in = WIDTH_IN / 2 - PICTURE_IN
    axes = figure.subplots(
        len(heights), 4, squeeze=False, width_ratios=[PICTURE_IN, text_in] * 2, height_ratios=heights
    )  # fmt: skip
    for axis in axes.ravel():
        axis.set_axis_off()
    for column, (heading, items) in enumerate(zip(HEADINGS, (captions, answers), strict=True)):
        for row, item in enumerate(items):
            picture, text = axes[row, 2 * column : 2 * column + 2]
            show_picture(picture, item.picture)
            picture.set_anchor("NW")
            _write(text, item)
        # Over picture and text, so it must not widen the picture's column; the blank one keeps its height.
        axes[0, 2 * column].set_title(heading).set_in_layout(False)
        axes[0, 2 * column + 1].set_title(" ")
    return figure


def _num_lines(item: Answered) -> int:
    return 1 + sum(len(fit_lines(text, TEXT_POINTS, most, _weight(label))) for label, text, most in item.lines)


def _weight(label: str) -> str:
    return "bold" if label == "LLM" else "normal"


def _write(axis: Axes, item: Answered) -> None:
    """From the top: a label and its text, line by line, and the verdict."""
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False, "in_layout": False}
    baseline = -8.0
    for label, text, most in item.lines:
        axis.annotate(label, (0, 1), (0, baseline), color="0.35", **place)
        for line in fit_lines(text, TEXT_POINTS, most, _weight(label)):
            axis.annotate(line, (0, 1), (LABEL_POINTS, baseline), weight=_weight(label), parse_math=False, **place)
            baseline -= LINE_POINTS
    text, color = item.verdict
    axis.annotate(text[0], (0, 1), (LABEL_POINTS - 12, baseline), color=color, weight="bold", **place)
    axis.annotate(text[1:].strip(), (0, 1), (LABEL_POINTS, baseline), color="0.2", style="italic", **place)


def language_caption(
    captions: pd.DataFrame, answers: pd.DataFrame, shown_captions: pd.DataFrame, shown_answers: pd.DataFrame, seed: int
) -> str:
    """captions, answers: all rows; then those shown, as `choose` returns them."""
    own = select_rows(captions, {"condition": PICTURE_WORDS})
    equal = sum(_equals_reference(row) for row in own.itertuples())
    items = ", ".join(map(str, [*shown_captions["image_id"], *shown_answers["question_id"]]))
    return (
        f"Captions of {len(shown_captions)} held-out pictures and answers to {len(shown_answers)} questions by the "
        "frozen LLM after in-context samples; it reads the picture's words, of which the best are shown. Evenly spaced "
        "over all that were made, not chosen by quality. Reference: the picture's captions in the data, and the "
        f"answers there with how many of the ten they are. To see: {equal:,} of all {len(own):,} captions equal a "
        f"reference; {_beside_floors(captions, 'cider_d', 'cider_d')}; "
        f"{_beside_floors(answers, 'accuracy', 'vqa_accuracy')}. "
        "No error bars: single pictures; Tables 5 and 6 have the means with their intervals. "
        f"Seed {seed}. Items: {items}."
    )


def _beside_floors(rows: pd.DataFrame, column: str, measure: str) -> str:
    """The mean with the picture's words beside that of every other condition, and whether it is above all of them."""
    display = DISPLAYS[measure]
    unit = f" {display.unit}" if display.unit else ""
    means = rows.groupby("condition")[column].mean()
    own = means[PICTURE_WORDS]
    floors = [name for name in ordered(means.index, [RANDOM_WORDS]) if name != PICTURE_WORDS]
    text = f"mean {display.label} is {display.number(own)}{unit} with the picture's words"
    if not floors:
        return text
    listed = ", ".join(f"{name} {display.number(means[name])}{unit}" for name in floors)
    above = [name for name in floors if own > means[name]]
    verdict = (
        "above every floor" if above == floors else f"no higher than {', '.join(n for n in floors if n not in above)}"
    )
    return f"{text}, {verdict} ({listed})"
