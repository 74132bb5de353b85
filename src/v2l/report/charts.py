"""Charts: few-shot accuracy by setting, use of the codebooks, training curves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from v2l.config.fewshot import FewShotConfig, InductionSetting
from v2l.experiments.usage import BEST, GLOBAL, LOCAL, perplexity
from v2l.metrics.entries import Metrics, distinct_values, metric_key, select_rows
from v2l.metrics.few_shot import AVERAGE
from v2l.report.display import DISPLAYS

ACCURACY = DISPLAYS["accuracy"]
SPLITS = {"train": "training pictures", "heldout": "held-out pictures"}
TOKEN_KINDS = {BEST: "best token", GLOBAL: "all stored tokens"}
HATCHES = ("", "////")
MARKERS = ("o", "s", "^", "D", "v", "X")
CURVE_COLUMNS = 3


def few_shot_points(metrics: Metrics, ways: int, num_global: int, names: Sequence[str]) -> pd.DataFrame:
    """value, low and high in per cent for each setting in turn; NaN where there is none."""
    none = {"value": None, "low": None, "high": None}
    entries = [metrics.get(metric_key("accuracy", ways=ways, num_global=num_global, setting=n), none) for n in names]
    return pd.DataFrame(entries, columns=list(none)).astype(float) * ACCURACY.scale


def few_shot_data(metrics: Metrics, fewshot: FewShotConfig) -> pd.DataFrame:
    """The points of the few-shot figure: ways, num_global, setting, and value, low and high in per cent."""
    names = [*(setting.name for setting in fewshot.settings), AVERAGE]
    return pd.concat(
        few_shot_points(metrics, ways, num_global, names).assign(ways=ways, num_global=num_global, setting=names)
        for ways in distinct_values(metrics, "ways")
        for num_global in distinct_values(metrics, "num_global")
    )[["ways", "num_global", "setting", "value", "low", "high"]]


def few_shot_figure(metrics: Metrics, fewshot: FewShotConfig) -> Figure:
    """A panel for each number of ways; Kg by colour and marker; bars are 95 % intervals; dashed: chance."""
    all_ways, all_num_global = distinct_values(metrics, "ways"), distinct_values(metrics, "num_global")
    figure = Figure(figsize=(6.875, 2.9))
    panels = figure.subplots(1, len(all_ways), sharey=True, squeeze=False)[0]
    names = [*(setting.name for setting in fewshot.settings), AVERAGE]
    for panel, ways in zip(panels, all_ways, strict=True):
        for place, num_global in enumerate(all_num_global):
            points = few_shot_points(metrics, ways, num_global, names)
            offset = (place - (len(all_num_global) - 1) / 2) * 0.24
            bars = (points[["low", "high"]].sub(points["value"], axis="index")).abs()
            panel.errorbar(
                np.arange(len(names)) + offset, points["value"].to_numpy(), bars.to_numpy().T, color=f"C{place}",
                linestyle="none", marker=MARKERS[place % len(MARKERS)], label=f"Kg = {num_global}",
            )  # fmt: skip
        panel.axhline(ACCURACY.scale / ways, color="0.3", linestyle=(0, (4, 2)), linewidth=0.8, label="chance")
        panel.axvline(len(names) - 1.5, color="0.7", linewidth=0.6)
        panel.set(title=f"{ways}-way", ylim=(0, 104), xlim=(-0.5, len(names) - 0.5))
        panel.set_xticks(range(len(names)), [*map(_setting_label, fewshot.settings), "\nmean\n"])
        panel.tick_params(axis="x", length=0)
    panels[0].set_ylabel(ACCURACY.heading)
    panels[0].annotate(
        "induction\nK\nrepeats", (0, 0), (-4, -3.5), xycoords="axes fraction", textcoords="offset points",
        ha="right", va="top", color="0.3", annotation_clip=False,
    )  # fmt: skip
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return figure


def _setting_label(setting: InductionSetting) -> str:
    return f"{'yes' if setting.induction else 'no'}\n{setting.shots}\n{setting.repeats}"


def few_shot_caption(metrics: Metrics, fewshot: FewShotConfig, seed: int) -> str:
    seen, counts = [], set()
    for ways in distinct_values(metrics, "ways"):
        entries = {
            (setting.name, num_global): metrics[key]
            for setting in fewshot.settings
            for num_global in distinct_values(metrics, "num_global")
            if (key := metric_key("accuracy", ways=ways, num_global=num_global, setting=setting.name)) in metrics
        }
        counts |= {entry["n"] for entry in entries.values()}
        if entries:
            (setting_name, num_global), best = max(entries.items(), key=lambda item: item[1]["value"])
            seen.append(f"{ways}-way {ACCURACY.number(best['value'])} % with Kg = {num_global} and {setting_name}")
    episodes = " or ".join(map(str, sorted(counts))) or "no"
    return (
        "Accuracy of the frozen LLM by setting (induction line, K support examples a class, further repeats of each) "
        "and number of global tokens Kg; the last place is the mean over the settings. Held-out query pictures, "
        f"{episodes} episodes a point. Bars: 95 % Wilson intervals; of the mean a t-interval over episodes. Dashed: "
        "chance of an answer that is one of the class names, as with induction. To see: the highest accuracies are "
        f"{'; '.join(seen) or 'missing'}. Seed {seed}."
    )


def codebook_figure(usage: pd.DataFrame) -> Figure:
    """Left: share of local tokens by rank of their code. Right: n-gram orders of held-out pictures' global tokens."""
    figure = Figure(figsize=(6.875, 2.6))
    left, right = figure.subplots(1, 2)
    for style, (split, label) in zip(("-", "--"), SPLITS.items(), strict=True):
        counts = local_counts(usage, split)
        if len(counts):
            name = f"{label}: {len(counts):,} codes"
            left.loglog(np.arange(1, len(counts) + 1), counts / counts.sum(), linestyle=style, marker="", label=name)
    left.set(title="Local codes", xlabel="Rank of the code", ylabel="Share of local tokens")
    left.grid(visible=True, axis="both")
    left.legend(loc="lower left")
    _order_bars(right, order_table(usage))
    return figure


def local_counts(usage: pd.DataFrame, split: str) -> np.ndarray:
    """Counts of the local codes in use, most used first."""
    return np.sort(select_rows(usage, {"kind": LOCAL, "split": split})["count"].to_numpy())[::-1]


def order_table(usage: pd.DataFrame) -> pd.DataFrame:
    """Share in per cent of each n-gram order (rows 1 to 3) among best and all stored tokens of held-out pictures."""
    rows = select_rows(usage, {"split": "heldout"})
    counts = rows[rows["kind"].isin(TOKEN_KINDS)].pivot_table("count", "order", "kind", aggfunc="sum")
    counts = counts.reindex(index=[1, 2, 3], columns=list(TOKEN_KINDS)).fillna(0)
    return 100 * counts / counts.sum()


def _order_bars(axis: Axes, shares: pd.DataFrame) -> None:
    width = 0.38
    for place, (kind, label) in enumerate(TOKEN_KINDS.items()):
        positions = np.arange(len(shares)) + (place - 0.5) * width
        bars = axis.bar(
            positions, shares[kind], width, label=label, color=f"C{place}", edgecolor="white", hatch=HATCHES[place]
        )
        axis.bar_label(bars, fmt="%.0f", padding=1)
    axis.set_xticks(range(len(shares)), ["1\nsingle token", "2\nbigram", "3\ntrigram"])
    axis.set(title="Global tokens by n-gram order", ylabel="Share of tokens (%)")
    axis.set_ylim(0, 1.4 * shares.to_numpy().max())  # room for the legend
    axis.set_yticks([tick for tick in axis.get_yticks() if tick <= 100])
    axis.tick_params(axis="x", length=0)
    axis.legend(loc="upper right")


def codebook_caption(usage: pd.DataFrame, seed: int) -> str:
    counts, shares = local_counts(usage, "heldout"), order_table(usage)
    pictures = int(select_rows(usage, {"kind": BEST, "split": "heldout"})["count"].sum())
    return (
        "Left: how often each local code is used, by rank, as a share of all local tokens of the split (both axes "
        "logarithmic). Right: n-gram orders of the global tokens of held-out pictures, among the best token of each "
        f"picture (n = {pictures:,}) and among all stored. To see: {len(counts):,} local codes are in use on held-out "
        f"pictures, as many as {perplexity(counts):,.0f} used equally often (perplexity); "
        f"{100 - shares.loc[1, BEST]:.0f} % of the best tokens are bigrams or trigrams. "
        f"No error bars: exact counts. Seed {seed}."
    )


def curve_names(curves: pd.DataFrame) -> list[str]:
    """Terms to draw: every column that has values, but for the two that count time."""
    return [name for name in curves.columns if name not in ("step", "epoch") and curves[name].notna().any()]


def curves_figure(curves: pd.DataFrame) -> Figure:
    """A panel for each logged term over training steps, as logged."""
    names = curve_names(curves)
    columns = min(CURVE_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(6.875, 0.5 + 1.6 * rows))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    marker = "." if len(curves) < 20 else ""
    for axis, name in zip(axes, names, strict=False):
        drawn = curves[["step", name]].dropna()
        axis.plot(drawn["step"], drawn[name], marker=marker, linestyle="-", color="C0")
        axis.set_title(name.replace("_", " "))
        axis.tick_params(labelbottom=True)
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    figure.supxlabel("Training step", fontsize="medium")
    return figure


def curves_caption(curves: pd.DataFrame, seed: int) -> str:
    names = curve_names(curves)
    first, last = curves.iloc[0], curves.iloc[-1]
    name = "total" if "total" in names else names[0]
    return (
        f"Training of the tokenizer on the training pictures: every logged term at {len(curves):,} logged steps up to "
        f"{int(last['step']):,}, single batches, not smoothed. To see: {name.replace('_', ' ')} goes from "
        f"{first[name]:.3g} to {last[name]:.3g}. No error bars: one run. Seed {seed}."
    )
