"""Claims about the words of pictures (paper, Table 2): items are held-out pictures, averaged over Kg."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from v2l.claims.statistics import CONTRADICTED, NOT_TESTED, Claim, item_means, judged, paired_difference, untested

COLUMNS = ["image_id", "codebook", "num_global", "clip", "clip_r", "codebook_size"]
MEASURES = {"clip": "CLIP score", "clip_r": "relative CLIP score"}
SINGLE, EXPANDED, UNFILTERED = "order_1", "orders_1_3", "unfiltered"


def semantics_claims(file: Path, rows: pd.DataFrame, margin: float) -> list[Claim]:
    """margin: loss by filtering, as a share of the unfiltered score, that counts as none."""
    return [_expansion(file, rows, measure) for measure in MEASURES] + [
        _filtering(file, rows, measure, margin) for measure in MEASURES
    ]


def _scores(rows: pd.DataFrame, codebook: str, measure: str) -> pd.Series:
    return item_means(rows[rows["codebook"] == codebook], "image_id", measure)


def _scale(rows: pd.DataFrame) -> str:
    kgs = ", ".join(map(str, sorted(rows["num_global"].unique())))
    return f"{rows['image_id'].nunique()} held-out pictures, mean over Kg = {kgs}"


def _expansion(file: Path, rows: pd.DataFrame, measure: str) -> Claim:
    claim = Claim(
        f"expansion_{measure}", f"Expansion to bigrams and trigrams raises the {MEASURES[measure]}.",
        f"{MEASURES[measure]} with orders 1 to 3 minus order 1 alone", "", _scale(rows),
    )  # fmt: skip
    pair = (_scores(rows, codebook, measure) for codebook in (EXPANDED, SINGLE))
    return judged(claim, paired_difference(*pair), [file])


def _filtering(file: Path, rows: pd.DataFrame, measure: str, margin: float) -> Claim:
    """Nothing is lost where the interval lies above minus the margin; and the codebook must be smaller."""
    filtered, whole = (_scores(rows, codebook, measure) for codebook in (EXPANDED, UNFILTERED))
    sizes = rows.drop_duplicates("codebook").set_index("codebook")["codebook_size"]
    claim = Claim(
        f"filtering_{measure}", f"Filtering keeps the {MEASURES[measure]} with a smaller codebook.",
        f"{MEASURES[measure]} with the filtered minus the unfiltered codebook; kept if no more than {margin:.0%} of it "
        "is lost", "", _scale(rows),
    )  # fmt: skip
    if EXPANDED not in sizes or UNFILTERED not in sizes:
        return untested(claim, "the configuration has no unfiltered codebook to compare with")
    result = judged(claim, paired_difference(filtered, whole), [file], bound=-margin * float(whole.mean()))
    small, large = int(sizes[EXPANDED]), int(sizes[UNFILTERED])
    overruled = small >= large and result.verdict != NOT_TESTED
    return replace(
        result,
        scale=f"{result.scale}; {small:,} of {large:,} entries kept",
        verdict=CONTRADICTED if overruled else result.verdict,
    )
