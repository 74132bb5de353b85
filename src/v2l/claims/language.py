"""Claims about captions and answers (paper, Figure 5): items are held-out pictures."""

from pathlib import Path

import pandas as pd

from v2l.claims.statistics import Claim, item_means, judged, paired_difference
from v2l.conditions import PICTURE_WORDS, RANDOM_WORDS

CAPTION_COLUMNS = ["image_id", "condition", "cider_d"]
ANSWER_COLUMNS = ["image_id", "condition", "accuracy"]


def caption_claims(file: Path, rows: pd.DataFrame, llm: str) -> list[Claim]:
    claim = Claim(
        "captions", "The LLM captions pictures from their words.",
        "CIDEr-D with the picture's words minus random ones", "", f"{llm}, held-out pictures",
    )  # fmt: skip
    return [judged(claim, paired_difference(*_sides(rows, "cider_d")), [file])]


def answer_claims(file: Path, rows: pd.DataFrame, llm: str) -> list[Claim]:
    """Questions about one picture are averaged: pictures are the independent items."""
    claim = Claim(
        "answers", "The LLM answers questions about pictures from their words.",
        "VQA accuracy with the picture's words minus random ones, mean over a picture's questions", "points",
        f"{llm}, held-out pictures",
    )  # fmt: skip
    return [judged(claim, paired_difference(*_sides(rows, "accuracy")), [file], factor=100)]


def _sides(rows: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    sides = (rows[rows["condition"] == condition] for condition in (PICTURE_WORDS, RANDOM_WORDS))
    first, second = (item_means(side, "image_id", column) for side in sides)
    return first, second
