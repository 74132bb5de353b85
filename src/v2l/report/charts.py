"""Charts of the tokenizers: use of the codebooks, training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from v2l.artifacts import read_rows
from v2l.errors import ArtifactError
from v2l.experiments.usage import BEST, GLOBAL, LOCAL, perplexity
from v2l.metrics.entries import select_rows
from v2l.report.cells import ordered
from v2l.report.display import METHODS
from v2l.report.grids import stored_name
from v2l.report.saver import series_style

SPLITS = {"train": "training pictures", "heldout": "held-out pictures"}
TOKEN_KINDS = {BEST: "best token", GLOBAL: "all stored tokens"}
HATCHES = ("", "////")
# Logged terms that tokenizers have in common, each with its heading.
CURVES = {
    "total": "Total loss ↓",
    "reconstruction": "Reconstruction loss ↓",
    "perceptual": "Perceptual loss ↓",
    "codes_in_batch": "Codes in use in a batch",
}
CURVE_COLUMNS = 2
FEW_STEPS = 20


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


def read_curves(files: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Steps and shown terms of every tokenizer. files: ``curves_<tokenizer>.csv``.

    Raises ArtifactError if a file has no logged value of a shown term.
    """
    curves = {}
    for file in files:
        read_rows(
            file, ["step"]
        )  # says clearly what is wrong with the file; which terms it has depends on the training
        rows = pd.read_csv(file)
        terms = [name for name in CURVES if name in rows.columns and rows[name].notna().any()]
        if not terms:
            raise ArtifactError(f"{file}: expected logged values in a column of {', '.join(CURVES)}, found none")
        curves[stored_name(file, "curves_")] = rows[["step", *terms]]
    return {name: curves[name] for name in ordered(curves, METHODS)}


def curves_figure(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel for each term over training steps, as logged; a colour and dash for each tokenizer."""
    terms = [name for name in CURVES if any(name in rows for rows in curves.values())]
    columns = min(CURVE_COLUMNS, len(terms))
    lines = -(-len(terms) // columns)
    figure = Figure(figsize=(6.875, 0.75 + 1.75 * lines))
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True).ravel()
    handles = {}
    for axis, term in zip(axes, terms, strict=False):
        for place, (name, rows) in enumerate(curves.items()):
            if term in rows:
                drawn = rows[["step", term]].dropna()
                style = series_style(place, "color", "linestyle", "marker")
                if len(drawn) >= FEW_STEPS:
                    style["marker"] = ""
                (handles[name],) = axis.plot(drawn["step"], drawn[term], markersize=3, linewidth=1.0, **style)
        _scale(
            axis, [rows[term].dropna() for rows in curves.values() if term in rows], logarithmic="loss" in CURVES[term]
        )
        axis.set_title(CURVES[term])
        axis.tick_params(labelbottom=True)
    for axis in axes[len(terms) :]:
        axis.set_axis_off()
    figure.supxlabel("Training step", fontsize="medium")
    labels = [name for name in curves if name in handles]
    figure.legend(
        [handles[name] for name in labels], [METHODS.get(name, name) for name in labels], loc="outside upper center",
        ncols=min(3, len(labels)), handlelength=3,
    )  # fmt: skip
    return figure


def _scale(axis: Axes, values: Sequence[pd.Series], logarithmic: bool) -> None:
    """A count starts at zero; a loss is logarithmic, with plain numbers, unless a GAN's term takes it below zero."""
    if not logarithmic:
        axis.set_ylim(bottom=0)
    elif all((column > 0).all() for column in values):
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())


def curves_caption(curves: Mapping[str, pd.DataFrame], seed: int) -> str:
    counts = sorted({len(rows) for rows in curves.values()})
    steps = sorted({int(rows["step"].max()) for rows in curves.values()})
    logged = [name for name in CURVES if any(name in rows for rows in curves.values())]
    term = "reconstruction" if "reconstruction" in logged else logged[0]
    ends = {name: rows[term].dropna().iloc[-1] for name, rows in curves.items() if term in rows}
    listed = ", ".join(f"{METHODS.get(name, name)} {ends[name]:.3g}" for name in sorted(ends, key=ends.__getitem__))
    return (
        f"Training of the tokenizers on the training pictures, {_either(counts)} logged steps up to step "
        f"{_either(steps)}: single batches, not smoothed; losses on a logarithmic axis where all are positive. "
        "Totals hold each kind's own quantizer loss, and adversarial terms once they begin: compare them within a "
        "tokenizer only. "
        f"To see: {CURVES[term].removesuffix(' ↓').lower()} of the last logged batch, lowest first: {listed}. "
        f"No error bars: one run each. Seed {seed}."
    )


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(f"{number:,}" for number in numbers)
