"""Scores of captions against references: CIDEr-D, BLEU-4 and ROUGE-L of aac-metrics, which are those of coco-caption
without its Java tokeniser (paper, Figure 5).

All three see the same words: lower case, a word keeps its inner hyphens and apostrophes, a possessive 's is a word of
its own, and all other punctuation is dropped. That is what coco-caption's PTB tokeniser makes of short captions, but
for contractions, which it cuts (don't: do n't), and numbers with a point, which it keeps whole.

A BLEU-4 above 0 needs four words in a row: for captions of one to three words, as emoji names are, it is next to 0 by
its definition, and CIDEr-D reaches only the share of its 10 points that their n-grams of order 1 to 3 can earn.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

ORDERS = (1, 2, 3, 4)

_TINY, _SMALL = 1e-15, 1e-9  # coco-caption's

_WORD = re.compile(r"'s\b|\w+(?:(?:-|'(?!s\b))\w+)*")


def tokenize(text: str) -> list[str]:
    """The words of a caption, as all scores see them."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def score_captions(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Scores of each caption of a set: cider_d in 0..10, sentence bleu_4 and rouge_l in 0..1, [n] rows.

    references: one or more of each item, each with a word. CIDEr-D weighs n-grams by how few of this set's items have
    them in a reference, so an item's score belongs to its set; the set's CIDEr-D is their mean. An empty prediction
    scores 0. Raises ValueError if there are fewer than two items.
    """
    # Imported here, as it takes seconds.
    from aac_metrics.functional import bleu, cider_d, rouge_l

    predictions, references = list(predictions), [list(texts) for texts in references]
    scores = {}
    for name, score in (("cider_d", cider_d), ("bleu_4", bleu), ("rouge_l", rouge_l)):
        _, items = score(predictions, references, tokenizer=tokenize)
        scores[name] = items[name].numpy()
    return pd.DataFrame(scores)


def bleu_counts(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """What BLEU-4 sums up, by item: [n, 10] int64.

    Columns: n-grams of order 1 to 4 that a reference has too (each at most as often as in one reference), n-grams of
    order 1 to 4, words, and words of the reference of the closest length (of two, the shorter).
    """
    return np.array([_counts(text, texts) for text, texts in zip(predictions, references, strict=True)], dtype=np.int64)


def _counts(prediction: str, references: Sequence[str]) -> list[int]:
    words, others = tokenize(prediction), [tokenize(text) for text in references]
    matches = [
        sum((_ngrams(words, order) & _union([_ngrams(other, order) for other in others])).values()) for order in ORDERS
    ]
    totals = [max(0, len(words) - order + 1) for order in ORDERS]
    closest = min((len(other) for other in others), key=lambda length: (abs(length - len(words)), length))
    return [*matches, *totals, len(words), closest]


def _ngrams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def _union(counters: Sequence[Counter]) -> Counter:
    """Each n-gram as often as in the reference that has it most often."""
    union: Counter = Counter()
    for counter in counters:
        union |= counter
    return union


def bleu_of_counts(sums: np.ndarray) -> np.ndarray:
    """BLEU-4 of summed counts. sums: [..., 10] as `bleu_counts` has them.   Returns [...] float64 in 0..1.

    The geometric mean of the four precisions, times exp(1 - reference words / words) if that is below 1. As in
    coco-caption, 1e-15 is added to matches and 1e-9 to totals, so that nothing is divided by 0: without a single match
    of four words the value is tiny, not 0.
    """
    matches, totals, words, reference_words = sums[..., :4], sums[..., 4:8], sums[..., 8], sums[..., 9]
    precision = np.prod((matches + _TINY) / (totals + _SMALL), axis=-1) ** (1 / len(ORDERS))
    with np.errstate(over="ignore", under="ignore"):
        return precision * np.exp(np.minimum(0.0, 1 - (reference_words + _SMALL) / (words + _TINY)))
