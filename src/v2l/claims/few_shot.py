"""Claims about few-shot classification (paper, Table 1): items are episodes, of both numbers of ways together."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from v2l.claims.statistics import Claim, item_means, judged, paired_difference, untested
from v2l.graph.spec import MAIN_TOKENIZER

COLUMNS = [
    "run",
    "words",
    "llm_parameters",
    "episode_id",
    "query_id",
    "ways",
    "num_global",
    "setting",
    "induction",
    "shots",
    "repeats",
    "correct",
]
BASELINES = {"vqgan": "VQ-GAN", "lqae": "LQAE-like", "spae": "SPAE-like"}


def few_shot_claims(predictions: Mapping[str, tuple[Path, pd.DataFrame]], llm: str) -> list[Claim]:
    """predictions: file and rows of every run, by run. llm: what the prompts were read by."""
    if MAIN_TOKENIZER not in predictions:
        return [untested(claim, "no few-shot run of V2L") for claim in _statements(llm).values()]
    file, rows = predictions[MAIN_TOKENIZER]
    claims = _statements(_scale(llm, rows))
    guided = rows[rows["induction"]]
    plain = guided[guided["repeats"] == 0]
    once = guided[guided["shots"] == 1]
    pairs = {
        "global_tokens": _ends(guided, "num_global"),
        "induction": _sides(rows[(rows["shots"] == 1) & (rows["repeats"] == 0)], "induction", True, False),
        "shots": _ends(plain, "shots"),
        "repeats": _ends(once, "repeats"),
    }
    judgements = [_judge(claims[name], pair, [file]) for name, pair in pairs.items()]
    return judgements + [
        _against(claims[name], llm, guided, file, predictions[name])
        if name in predictions
        else untested(claims[name], "no few-shot run of this baseline")
        for name in BASELINES
    ]


def larger_llms(predictions: Mapping[str, tuple[Path, pd.DataFrame]], llm: str) -> Claim:
    """The largest against the smallest of the LLMs that read V2L's words, on the same episodes and settings."""
    claim = Claim(
        "larger_llms", "Larger LLMs do better.",
        "few-shot accuracy of the largest minus the smallest LLM, settings with induction", "points", llm,
    )  # fmt: skip
    own = predictions.get(MAIN_TOKENIZER)
    if own is None:
        return untested(claim, "no few-shot run of V2L")
    alike = ["words", "num_global", "setting"]
    cells = {tuple(cell) for cell in own[1][alike].drop_duplicates().to_numpy()}
    sizes = {
        int(rows["llm_parameters"].iloc[0]): (file, rows)
        for file, rows in predictions.values()
        if {tuple(cell) for cell in rows[alike].drop_duplicates().to_numpy()} == cells
    }
    if len(sizes) < 2:
        return untested(claim, f"one LLM in this run, {llm}")
    (file, smallest), (other, largest) = sizes[min(sizes)], sizes[max(sizes)]
    pair = [item_means(rows[rows["induction"]], "episode_id", "correct") for rows in (largest, smallest)]
    claim = replace(claim, scale=f"{max(sizes) / 1e9:.1f} against {min(sizes) / 1e9:.1f} billion weights")
    return judged(claim, paired_difference(*pair), [file, other], factor=100)


def _statements(scale: str) -> dict[str, Claim]:
    def claim(name: str, text: str, statistic: str) -> Claim:
        return Claim(f"few_shot_{name}", text, statistic, "points", scale)

    return {
        "global_tokens": claim(
            "global_tokens", "More global tokens raise few-shot accuracy.",
            "accuracy with the largest minus that with the smallest Kg, mean over settings with induction",
        ),
        "induction": claim(
            "induction", "The induction line raises few-shot accuracy.",
            "accuracy with the line and answers constrained to the names minus without either, K = 1",
        ),
        "shots": claim(
            "shots", "More support examples raise few-shot accuracy.",
            "accuracy with the largest minus the smallest K, with induction, no repeats",
        ),
        "repeats": claim(
            "repeats", "Repeating the support examples raises few-shot accuracy.",
            "accuracy with most minus fewest repeats, with induction, K = 1",
        ),
    } | {
        name: claim(
            f"beats_{name}", f"V2L's words serve few-shot classification better than the tokens of {label}.",
            f"accuracy of V2L minus {label}, settings with induction that both have; equal Kg, or V2L's largest",
        )
        for name, label in BASELINES.items()
    }  # fmt: skip


def _scale(llm: str, rows: pd.DataFrame) -> str:
    counts = rows.groupby("ways")["episode_id"].nunique()
    return f"{llm}, episodes: " + ", ".join(f"{count} {ways}-way" for ways, count in counts.items())


def _sides(rows: pd.DataFrame, column: str, better: object, worse: object) -> tuple[pd.Series, pd.Series]:
    """Accuracy of every episode on both sides; only settings and Kg that both sides have enter by construction."""
    sides = (rows[rows[column] == value] for value in (better, worse))
    first, second = (item_means(side, "episode_id", "correct") for side in sides)
    return first, second


def _ends(rows: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series] | None:
    """The largest against the smallest value of a column; None where there is but one."""
    values = sorted(rows[column].unique())
    return _sides(rows, column, values[-1], values[0]) if len(values) > 1 else None


def _judge(claim: Claim, pair: tuple[pd.Series, pd.Series] | None, files: list[Path]) -> Claim:
    if pair is None:
        return untested(claim, "the configuration has only one side of the comparison")
    return judged(claim, paired_difference(*pair), files, factor=100)


def _against(claim: Claim, llm: str, own: pd.DataFrame, file: Path, other: tuple[Path, pd.DataFrame]) -> Claim:
    """V2L against a baseline, cell by cell of episode, setting and Kg, then averaged over an episode."""
    baseline = other[1][other[1]["induction"]]
    largest = own["num_global"].max()
    matched = baseline["num_global"].where(baseline["num_global"].isin(own["num_global"].unique()), largest)
    keys = ["episode_id", "query_id", "ways", "setting", "matched"]
    cells = baseline.assign(matched=matched).merge(
        own.assign(matched=own["num_global"]), on=keys, suffixes=("_baseline", "_own")
    )
    pair = (item_means(cells, "episode_id", f"correct_{side}") for side in ("own", "baseline"))
    claim = replace(claim, scale=_scale(llm, cells) if len(cells) else llm)
    return judged(claim, paired_difference(*pair), [file, other[0]], factor=100)
