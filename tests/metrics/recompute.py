"""Runs a metrics stage, finds the rows that an entry points to, and scores sets of captions as aac-metrics does."""

from collections.abc import Sequence

from v2l.artifacts import read_json, read_rows
from v2l.metrics.caption_scores import tokenize
from v2l.metrics.entries import select_rows


def run(stage, *files):
    output = files[0].with_name("metrics.json")
    stage(*files, metrics=output)
    return read_json(output)


def recompute(entry, root, column):
    rows = select_rows(
        read_rows(root / entry["rows"]["file"], [column, *entry["rows"]["where"]]), entry["rows"]["where"]
    )
    return rows[column]


def corpus_bleu(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU-4 of a whole set of captions as aac-metrics has it, in 0..1."""
    from aac_metrics.functional import bleu

    corpus, _ = bleu(list(predictions), [list(texts) for texts in references], tokenizer=tokenize)
    return float(corpus["bleu_4"])
