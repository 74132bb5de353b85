"""Runs a metrics stage, and finds the rows that an entry points to."""

from v2l.artifacts import read_json, read_rows
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
