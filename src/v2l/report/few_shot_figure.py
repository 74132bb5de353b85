"""Few-shot accuracy by setting, of V2L and of the methods it is compared with (paper, Table 1)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from v2l.config.fewshot import InductionSetting, RunConfig
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics, select_rows
from v2l.metrics.few_shot import AVERAGE
from v2l.report.cells import ordered
from v2l.report.display import DISPLAYS, METHODS
from v2l.report.saver import series_style

ACCURACY = DISPLAYS["accuracy"]
STEP = 0.13  # between the points of a setting, which are 1 apart
COLUMNS = ["run", "ways", "num_global", "setting", "value", "low", "high", "n"]


def few_shot_data(metrics: Metrics, runs: Mapping[str, RunConfig]) -> pd.DataFrame:
    """Every accuracy of the runs: run, ways, num_global, setting, value, low and high in per cent, and n.

    Runs in the order of METHODS, then others, with their settings in order and the average last.
    """
    names = list(dict.fromkeys(setting.name for run in runs.values() for setting in run.settings))
    rows = [
        {
            **entry["rows"]["where"],
            "setting": entry["rows"]["where"].get("setting", AVERAGE),
            **{
                part: np.nan if entry[part] is None else entry[part] * ACCURACY.scale
                for part in ("value", "low", "high")
            },
            "n": entry["n"],
        }
        for key, entry in metrics.items()
        if key.startswith("accuracy | ") and entry["rows"]["where"].get("run") in runs
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    places = {
        "run": {name: place for place, name in enumerate(ordered(runs, METHODS))},
        "setting": {name: place for place, name in enumerate([*names, AVERAGE])},
    }
    by = ["run", "ways", "num_global", "setting"]
    ranks = table[by].assign(**{column: table[column].map(rank) for column, rank in places.items()})
    return table.loc[ranks.sort_values(by).index].reset_index(drop=True)


def method_points(metrics: Metrics, runs: Mapping[str, RunConfig]) -> pd.DataFrame:
    """The points of the figure: runs that bear a method's name; ablations have a figure of their own.

    An average is one over all settings that occur; a run in some of them has none. Raises ArtifactError if there is
    no point.
    """
    points = few_shot_data(metrics, {name: run for name, run in runs.items() if name in METHODS})
    if points.empty:
        raise ArtifactError(f"few-shot metrics: expected a run named as one of {', '.join(METHODS)}, found none")
    everything = set(points["setting"]) - {AVERAGE}
    whole = [name for name in points["run"].unique() if _settings_of(points, name) == everything]
    return points[(points["setting"] != AVERAGE) | points["run"].isin(whole)].reset_index(drop=True)


def _settings_of(points: pd.DataFrame, run: str) -> set[str]:
    return set(select_rows(points, {"run": run})["setting"]) - {AVERAGE}


def _series(points: pd.DataFrame) -> list[tuple[str, int]]:
    """Every run with every Kg it has, in the order of the points."""
    return list(points[["run", "num_global"]].drop_duplicates().itertuples(index=False, name=None))


def _label(run: str, num_global: int) -> str:
    return f"{METHODS[run]}, Kg = {num_global}"


def few_shot_figure(metrics: Metrics, runs: Mapping[str, RunConfig]) -> Figure:
    """A panel for each number of ways; method and Kg by colour and marker; bars are 95 % intervals; dashed: chance."""
    points = method_points(metrics, runs)
    settings = {setting.name: _setting_label(setting) for run in runs.values() for setting in run.settings}
    names = [name for name in (*settings, AVERAGE) if name in set(points["setting"])]
    all_ways, series = sorted(points["ways"].unique()), _series(points)
    figure = Figure(figsize=(6.875, 0.9 + 1.75 * len(all_ways)))
    panels = figure.subplots(len(all_ways), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for panel, ways in zip(panels, all_ways, strict=True):
        _draw_series(panel, select_rows(points, {"ways": ways}), series, names)
        panel.axhline(ACCURACY.scale / ways, color="0.3", linestyle=(0, (4, 2)), linewidth=0.8, label="chance")
        if AVERAGE in names:
            panel.axvline(len(names) - 1.5, color="0.7", linewidth=0.6)
        panel.set(title=f"{ways}-way", ylim=(0, 104), xlim=(-0.5, len(names) - 0.5), ylabel=ACCURACY.heading)
        panel.tick_params(axis="x", length=0)
    panels[-1].set_xticks(range(len(names)), [settings.get(name, "\nmean\n") for name in names])
    panels[-1].annotate(
        "induction\nK\nrepeats", (0, 0), (-4, -3.5), xycoords="axes fraction", textcoords="offset points",
        ha="right", va="top", color="0.3", annotation_clip=False,
    )  # fmt: skip
    found = [zip(*panel.get_legend_handles_labels(), strict=True) for panel in panels]
    handles = {label: handle for pairs in found for handle, label in pairs}
    labels = [*(label for item in series if (label := _label(*item)) in handles), "chance"]
    figure.legend([handles[label] for label in labels], labels, loc="outside upper center", ncols=min(4, len(labels)))
    return figure


def _draw_series(
    panel: Axes, points: pd.DataFrame, series: Sequence[tuple[str, int]], names: Sequence[str]
) -> None:  # fmt: skip
    """At each setting the series that have it, side by side."""
    here = {name: [item for item in series if item in _at(points, name)] for name in names}
    for place, (run, num_global) in enumerate(series):
        mine = select_rows(points, {"run": run, "num_global": num_global}).set_index("setting")
        mine = mine.loc[[name for name in names if name in mine.index]]
        if mine.empty:
            continue
        shifts = [here[name].index((run, num_global)) - (len(here[name]) - 1) / 2 for name in mine.index]
        at = [names.index(name) + STEP * shift for name, shift in zip(mine.index, shifts, strict=True)]
        bars = mine[["low", "high"]].sub(mine["value"], axis="index").abs().fillna(0)
        panel.errorbar(
            at, mine["value"].to_numpy(), bars.to_numpy().T, linestyle="none", markersize=4.5,
            label=_label(run, num_global), **series_style(place, "color", "marker"),
        )  # fmt: skip


def _at(points: pd.DataFrame, name: str) -> set[tuple[str, int]]:
    return set(_series(select_rows(points, {"setting": name})))


def _setting_label(setting: InductionSetting) -> str:
    return f"{'yes' if setting.induction else 'no'}\n{setting.shots}\n{setting.repeats}"


def few_shot_caption(metrics: Metrics, runs: Mapping[str, RunConfig], seed: int) -> str:
    points = method_points(metrics, runs)
    episodes = "; ".join(
        f"{METHODS[run]} {' or '.join(f'{n:,}' for n in sorted(group['n'].unique()))}"
        for run, group in points.groupby("run", sort=False)
    )
    seen = [*_highest(points), *_compared(points)]
    return (
        "Accuracy of the frozen LLM by setting (induction line, K support examples a class, further repeats of each), "
        "method and number of words a picture Kg; the last place is the mean over all settings, for methods that were "
        f"run in all. Held-out query pictures; episodes a point: {episodes}. Bars: 95 % Wilson intervals "
        "over episodes. Dashed: chance of an answer that is one of the class names, as with induction. "
        f"To see: {'; '.join(seen)}. Seed {seed}."
    )


def _highest(points: pd.DataFrame) -> Iterator[str]:
    for ways, group in points[points["setting"] != AVERAGE].groupby("ways"):
        best = group.loc[group["value"].idxmax()]
        yield (
            f"the highest {ways}-way accuracy is {best['value']:.{ACCURACY.digits}f} % "
            f"({_label(best['run'], best['num_global'])}; {best['setting']})"
        )


def _compared(points: pd.DataFrame) -> Iterator[str]:
    """The accuracies of all methods in a setting that all have, for each number of ways."""
    for ways, group in points[points["setting"] != AVERAGE].groupby("ways"):
        methods = group["run"].unique()
        common = set.intersection(*(_settings_of(group, run) for run in methods))
        names = [name for name in group["setting"].unique() if name in common]
        if len(methods) < 2 or not names:
            continue
        rows: Any = select_rows(group, {"setting": names[0]}).itertuples()
        listed = ", ".join(f"{_label(row.run, row.num_global)}: {row.value:.{ACCURACY.digits}f} %" for row in rows)
        yield f"{ways}-way with {names[0]}: {listed}"
