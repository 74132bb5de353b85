"""From a cell of a table back to its metrics entry or claim, its rows and the run that made them."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.artifacts import provenance_path, read_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import select_rows
from v2l.report.provenance import history, job_name

ROWS_SHOWN = 3


def trace(index: Path, table: str, row: str, column: str) -> str:
    """Text that leads from a cell to its source.

    index: index.json of the tables folder, in its results folder. row: as printed; column: its id or printed heading.
    Raises ArtifactError if there is no such cell, listing those there are, or if a file it points to is missing.
    """
    cell = find_cell(read_json(index), index, table, row, column)
    lines = [f"{table} | {cell['row']} | {cell['column']}: {cell['text']} {cell['unit']}".rstrip()]
    if cell["source"]:
        return "\n".join([*lines, f"published: {cell['source']}"])
    if cell["metric_key"] is None:
        return "\n".join([*lines, "no value: not computed, and no published number on record"])
    root = index.parent.parent
    metrics = root / cell["metrics_file"]
    stored = read_json(metrics)
    is_claim = isinstance(stored, list)
    entry = ({claim["id"]: claim for claim in stored} if is_claim else stored).get(cell["metric_key"])
    if entry is None:
        raise ArtifactError(f"{metrics}: expected key {cell['metric_key']!r}, found none; run the stage tables again")
    lines += [f"metrics file: {metrics}", f"key: {cell['metric_key']}"]
    if is_claim:
        lines += _claim(entry, root)
    else:
        lines += _fields(entry)
        if entry["rows"] is not None:
            lines += ["", *_rows(root / entry["rows"]["file"], entry["rows"]["where"])]
    return "\n".join([*lines, "", *_provenance(root, metrics)])


def find_cell(tables: list[dict[str, Any]], index: Path, table: str, row: str, column: str) -> dict[str, Any]:
    """The cell of an index. Raises ArtifactError that lists the tables, rows or columns there are."""
    by_name = {item["name"]: item for item in tables}
    found = by_name.get(table)
    if found is None:
        raise ArtifactError(f"{index}: expected a table of {_listed(by_name)}, found {table!r}")
    ids = dict(zip(found["headings"], found["columns"], strict=True))
    for cell in found["cells"]:
        if cell["row"] == row and cell["column"] == ids.get(column, column):
            return cell
    rows = dict.fromkeys(cell["row"] for cell in found["cells"])
    if row not in rows:
        raise ArtifactError(f"{index}: expected a row of {table} ({_listed(rows)}), found {row!r}")
    raise ArtifactError(f"{index}: expected a column of {table} ({_listed(found['columns'])}), found {column!r}")


def _listed(names: Iterable[str]) -> str:
    return "; ".join(names)


def _fields(entry: Mapping[str, Any]) -> Iterator[str]:
    yield f"value: {entry['value']} {entry['unit']}".rstrip()
    if entry["low"] is not None:
        yield f"interval: [{entry['low']}, {entry['high']}] ({entry['interval']})"
    yield f"n: {entry['n']}"


def _claim(claim: Mapping[str, Any], root: Path) -> Iterator[str]:
    """A claim is a difference of items' means, so all rows of its files are behind it, and no selection of them."""
    yield f"claim: {claim['claim']}"
    yield f"statistic: {claim['statistic']}"
    if claim["value"] is not None:
        yield from _fields(claim)
    yield f"verdict: {claim['verdict']} ({claim['scale']})"
    for name in claim["rows"]:
        file = root / name
        yield f"computed from: {file} ({len(_read(file))} rows)"


def _rows(file: Path, where: Mapping[str, Any]) -> Iterator[str]:
    selection = ", ".join(f"{name} = {value}" for name, value in where.items()) or "all"
    if file.suffix != ".parquet":
        yield f"computed from: {file} (arrays)"
        return
    rows = select_rows(_read(file), where)
    yield f"computed from {len(rows)} row(s) of {file} where {selection}"
    for number, row in enumerate(rows.head(ROWS_SHOWN).drop(columns=list(where)).to_dict("records"), start=1):
        yield f"row {number} of {len(rows)}:"
        yield from (_field(name, str(value)) for name, value in row.items())


def _read(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise ArtifactError(f"{file}: file not found; run the stage that writes it")
    return pd.read_parquet(file)


def _field(name: str, value: str) -> str:
    """One column of a row; a text of several lines, such as a prompt, is set off below its name."""
    return f"  {name}:\n{textwrap.indent(value, '    ')}" if "\n" in value else f"  {name}: {value}"


def _provenance(root: Path, metrics: Path) -> Iterator[str]:
    if not provenance_path(metrics).is_file():
        yield f"provenance: none beside {metrics}"
        return
    yield "made by, from the raw data on:"
    past = history(root, [metrics])
    for record in past.records:
        yield (
            f"  {job_name(record)}: code {record['code_version']}, seed {record['seed']}, {record['device']}, "
            f"{record['wall_seconds']} s, parameters {record['parameters_hash'][:12]}"
        )
    for name, digest in past.sources.items():
        yield f"  source {name}: sha256 {digest}"
