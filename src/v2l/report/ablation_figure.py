"""What changes with the number of words, the global codebook, and parts of the tokenizer."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from v2l.config.fewshot import RunConfig
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.metrics.entries import Metrics, metric_key
from v2l.report.cells import Source, ordered, values_of
from v2l.report.display import DISPLAYS, METHODS, Display
from v2l.report.saver import series_style
from v2l.report.summary_tables import ONE_SHOT, VARIANTS, few_shot_place

LABEL_LENGTH = 10
ALONE = "V2L"  # the only series of a panel, which its title explains
# The n-gram orders of each codebook.
ORDERS = {"order_1": "1", "orders_1_2": "1-2", "orders_1_3": "1-3", "unfiltered": "all, not filtered"}
ORDERS_LABEL = "n-gram orders in the codebook"
SPREAD = 0.12  # between series at a place, which are 1 apart
Entry = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """series: entries by place; a place without entry is left empty. chance: in the unit shown, by series."""

    title: str
    display: Display
    places: Sequence[str]
    series: Mapping[str, Mapping[str, Entry]]
    xlabel: str = ""
    chance: Mapping[str, float] | None = None
    joined: bool = False

    @property
    def entries(self) -> list[Entry]:
        return [entry for entries in self.series.values() for entry in entries.values()]


def ablation_panels(
    classify: Metrics, semantics: Metrics, reconstruct: Metrics, runs: Mapping[str, RunConfig]
) -> list[Panel]:
    """Accuracy by Kg and by codebook, PSNR by tokenizer; CLIP and CLIP-R by codebook, LPIPS by tokenizer."""
    codebooks = ordered(
        {*values_of(semantics, "codebook"), *(run.words for run in runs.values() if run.words in ORDERS)}, ORDERS
    )
    return [
        *_accuracy_panels(Source("", classify), runs, codebooks),
        _variants_panel("psnr", reconstruct),
        _codebook_panel("clip", semantics, codebooks),
        _codebook_panel("clip_r", semantics, codebooks),
        _variants_panel("lpips_vgg", reconstruct),
    ]


def _accuracy_panels(classify: Source, runs: Mapping[str, RunConfig], codebooks: Sequence[str]) -> Iterator[Panel]:
    """One-shot accuracy with induction, by the words of V2L's own run and by codebook at its smallest Kg."""
    main = runs.get(MAIN_TOKENIZER)
    words = main.words if main else ""
    all_kg = sorted({kg for run in runs.values() if run.words == words for kg in run.num_global})
    smallest = min(main.num_global) if main else 0
    all_ways = sorted({ways for name in runs for ways in values_of(classify.metrics, "ways", run=name)})

    def entry(codebook: str, ways: int, num_global: int) -> Entry | None:
        place = few_shot_place(classify, runs, codebook, ways, num_global)
        return place and classify.metrics[place[1]]

    def panel(title: str, cells: Mapping[str, tuple[str, int]], **rest: Any) -> Panel:
        series = {
            f"{ways}-way": {place: found for place, (book, kg) in cells.items() if (found := entry(book, ways, kg))}
            for ways in all_ways
        }
        series = {name: found for name, found in series.items() if found}
        chance = {f"{ways}-way": DISPLAYS["accuracy"].scale / ways for ways in all_ways}
        return Panel(title, DISPLAYS["accuracy"], list(cells), series, chance=chance, **rest)

    by_kg = {str(kg): (words, kg) for kg in all_kg}
    by_codebook = {ORDERS.get(book, book): (book, smallest) for book in codebooks}
    yield panel("Global tokens", by_kg, xlabel="Number of global tokens Kg", joined=True)
    yield panel(f"Codebook, Kg = {smallest}", by_codebook, xlabel=ORDERS_LABEL)


def _codebook_panel(measure: str, semantics: Metrics, codebooks: Sequence[str]) -> Panel:
    series = {
        f"Kg = {num_global}": {
            ORDERS.get(book, book): semantics[key]
            for book in codebooks
            if (key := metric_key(measure, codebook=book, num_global=num_global)) in semantics
        }
        for num_global in values_of(semantics, "num_global")
    }
    places = [ORDERS.get(book, book) for book in codebooks]
    return Panel(
        "Codebook", DISPLAYS[measure], places, {n: found for n, found in series.items() if found}, ORDERS_LABEL
    )


def _variants_panel(measure: str, reconstruct: Metrics) -> Panel:
    entries = {
        METHODS[name]: reconstruct[key]
        for name in VARIANTS
        if (key := metric_key(measure, tokenizer=name)) in reconstruct
    }
    return Panel("Parts of the tokenizer", DISPLAYS[measure], list(entries), {ALONE: entries} if entries else {})


def ablation_figure(panels: Sequence[Panel]) -> Figure:
    """Two lines of three panels; a series has its colour and marker in all of them; bars are 95 % intervals."""
    figure = Figure(figsize=(6.875, 4.7))
    names = list(dict.fromkeys(name for panel in panels for name in panel.series if name != ALONE))
    handles: dict[str, Any] = {}
    for axis, panel in zip(figure.subplots(2, 3).ravel(), panels, strict=True):
        axis.set_title(panel.title)
        if not panel.entries:
            axis.text(0.5, 0.5, "not in this run", ha="center", va="center", transform=axis.transAxes, color="0.35")
            axis.set(xticks=[], yticks=[])
            continue
        for row, name in enumerate(panel.series):
            place = names.index(name) if name in names else 0
            style = series_style(place, "color", "marker") | ({} if name in names else {"color": "0.25"})
            shift = (row - (len(panel.series) - 1) / 2) * SPREAD
            handles[name] = _draw_series(axis, panel, name, shift, style)
        _label(axis, panel)
    if names:
        figure.legend([handles[name] for name in names], names, loc="outside upper center", ncols=min(6, len(names)))
    return figure


def _draw_series(axis: Axes, panel: Panel, name: str, shift: float, style: Mapping[str, Any]) -> Any:
    """Points with their intervals and, where there is one, the line of chance; returns what a legend shows."""
    entries, scale = panel.series[name], panel.display.scale
    values = np.array([entry["value"] for entry in entries.values()]) * scale
    if panel.chance:
        axis.axhline(panel.chance[name], color=style["color"], linestyle=(0, (4, 2)), linewidth=0.7)
    return axis.errorbar(
        [panel.places.index(place) + shift for place in entries], values,
        np.abs(_bounds(entries.values()) * scale - values), markersize=4.5,
        linestyle="-" if panel.joined else "none", linewidth=0.8, **style,
    )  # fmt: skip


def _label(axis: Axes, panel: Panel) -> None:
    labels = [textwrap.fill(place, LABEL_LENGTH) for place in panel.places]
    axis.set_xticks(range(len(labels)), labels)
    axis.set(xlim=(-0.5, len(labels) - 0.5), ylabel=panel.display.heading, xlabel=panel.xlabel)
    axis.tick_params(axis="x", length=0)
    if panel.chance:
        axis.set_ylim(0, 104)


def _bounds(entries: Any) -> np.ndarray:
    """Low and high of each entry, [2, n]; its value where it has no interval."""
    pairs = [[entry["value"] if entry[part] is None else entry[part] for part in ("low", "high")] for entry in entries]
    return np.array(pairs).T


def ablation_caption(panels: Sequence[Panel], seed: int) -> str:
    accuracy, books, psnr, clip, _, lpips = panels
    counts = {
        "episodes": [*accuracy.entries, *books.entries],
        "pictures (words)": clip.entries,
        "pictures (decoded)": [*psnr.entries, *lpips.entries],
    }
    sizes = "; ".join(
        f"{' or '.join(f'{n:,}' for n in sorted({entry['n'] for entry in entries}))} {noun}"
        for noun, entries in counts.items()
        if entries
    )
    seen = [
        *(
            f"{name} accuracy is {_best(entries, accuracy.display, 'Kg = ')}"
            for name, entries in accuracy.series.items()
        ),
        *(
            f"{name} accuracy is {_best(entries, books.display, 'n-gram orders ')}"
            for name, entries in books.series.items()
        ),
        *(
            f"CLIP at {name} is {_best(entries, clip.display, 'n-gram orders ')}"
            for name, entries in list(clip.series.items())[-1:]
        ),
        *(f"LPIPS-VGG is {_best(entries, lpips.display)}" for entries in lpips.series.values()),
    ]
    return (
        "One thing changed at a time: the number of global tokens a picture, the n-grams of the global codebook and "
        f"whether it is filtered, and parts of the tokenizer. Accuracy: {ONE_SHOT}; dashed: chance. Held-out pictures; "
        f"n = {sizes or 'none'}. Bars: 95 % intervals (Wilson over episodes, t over pictures). "
        f"To see: {'; '.join(seen) or 'nothing, as no ablation was run'}. Seed {seed}."
    )


def _best(entries: Mapping[str, Entry], display: Display, prefix: str = "") -> str:
    """Where a measure is best, and whether its interval is clear of the next best one's."""
    sign = -1 if display.better == "lower" else 1
    best, *others = sorted(entries, key=lambda place: -sign * entries[place]["value"])
    unit = f" {display.unit}" if display.unit else ""
    text = f"{'lowest' if sign < 0 else 'highest'} with {prefix}{best} ({display.number(entries[best]['value'])}{unit})"
    if not others:
        return text
    (low, high), (next_low, next_high) = (_bounds([entries[place]])[:, 0] for place in (best, others[0]))
    apart = low > next_high or high < next_low
    return text + (", clear of" if apart else ", whose interval overlaps that of") + f" {prefix}{others[0]}"
