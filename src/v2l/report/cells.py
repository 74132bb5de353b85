"""Cells of a table: our numbers from metrics files, printed numbers from papers, and what captions say of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from v2l.metrics.entries import Metrics, metric_key
from v2l.report.display import DASH, DISPLAYS, Display
from v2l.report.table_files import Cell, Table

PUBLISHED_NOTE = (
    "Published rows are at the paper's own scale (its data, models and training): context, not a target for this run."
)
NOTHING_PUBLISHED = "No published number with a source is on record for this table."


@dataclass(frozen=True)
class Column:
    """id as in the cells; published: where printed numbers of this column stand in published.csv (table, metric)."""

    id: str
    heading: str
    display: Display
    published: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Source:
    """A metrics file, by its name below the results folder, and its entries."""

    file: str
    metrics: Metrics


# Where a cell's number is: its metrics file and key. None: the row has no such number.
Place = tuple[Source, str] | None


def measure_column(name: str, published: tuple[str, str] = ("", ""), heading: str = "") -> Column:
    """The column of a measure."""
    return Column(name, heading or DISPLAYS[name].heading, DISPLAYS[name], published)


def make_cells(
    rows: Mapping[str, Mapping[str, Place]], columns: Sequence[Column], printed: pd.DataFrame | None = None
) -> list[Cell]:
    """Our rows (label to column id to place), then a row for each method with a printed number in a column."""
    own = [_own_cell(row, column, places.get(column.id)) for row, places in rows.items() for column in columns]
    if printed is None:
        return own
    found = {(item.row, (item.table, item.metric)): item for item in printed.itertuples()}
    wanted = {column.published for column in columns}
    methods = dict.fromkeys(method for method, place in found if place in wanted)
    return own + [
        _published_cell(f"{method}, published", column, found.get((method, column.published)))
        for method in methods
        for column in columns
    ]


def _own_cell(row: str, column: Column, place: Place) -> Cell:
    display = column.display
    entry = place[0].metrics.get(place[1]) if place else None
    if entry is None:
        return Cell(row, column.id, unit=display.unit)
    numbers = {name: None if entry[name] is None else entry[name] * display.scale for name in ("value", "low", "high")}
    return Cell(
        row,
        column.id,
        display.text(entry),
        **numbers,
        n=entry["n"],
        unit=display.unit,
        metrics_file=place[0].file,
        metric_key=place[1],
        rows=entry["rows"],
    )


def _published_cell(row: str, column: Column, item: Any) -> Cell:
    if item is None:
        return Cell(row, column.id, unit=column.display.unit)
    # A printed number is in the printed unit already, so it is rounded but not scaled.
    text = f"{item.value:,.{column.display.digits}f}"
    return Cell(row, column.id, text, item.value, unit=column.display.unit, source=item.source)


def make_table(
    name: str, title: str, caption: str, columns: Sequence[Column], cells: list[Cell], corner: str = ""
) -> Table:
    ids, headings = [column.id for column in columns], [column.heading for column in columns]
    return Table(name, title, caption, corner, ids, headings, cells)


def items(cells: Iterable[Cell], noun: str) -> str:
    """How many items stand behind the intervals, e.g. ``50 episodes``."""
    counts = sorted({cell.n for cell in cells if cell.low is not None})
    return f"{' or '.join(f'{count:,}' for count in counts) or 'no'} {noun}"


def caption(cells: Iterable[Cell], what: str, interval: str, seed: int, published: bool = True) -> str:
    """What a table shows, what its intervals are, and where printed numbers come from."""
    sources = "; ".join(sorted({cell.source for cell in cells if cell.source}))
    note = f" {PUBLISHED_NOTE} Source: {sources}." if sources else f" {NOTHING_PUBLISHED}" if published else ""
    return f"{what} {interval} {DASH}: not computed or not on record. Seed {seed}.{note}"


def ordered(names: Iterable[str], order: Iterable[str]) -> list[str]:
    """Names in the order in which readers expect them, then any others."""
    names = list(names)
    return [name for name in order if name in names] + sorted(name for name in names if name not in set(order))


def values_of(metrics: Metrics, column: str, **given: Any) -> list[Any]:
    """The values of a column among entries whose rows are selected by the given ones, sorted."""
    wheres = [entry["rows"]["where"] for entry in metrics.values() if entry["rows"] is not None]
    return sorted({where[column] for where in wheres if column in where and given.items() <= where.items()})


def standing(source: Source, measure: str, own: str, others: Iterable[str]) -> str:
    """What to see: where the mean of a condition stands among those of others, e.g. ``To see: Accuracy, picture words:
    61.0 %, better than random words (40.0), no better than majority answer (72.0).`` Missing means are left out."""
    display = DISPLAYS[measure]
    entries = {name: source.metrics.get(metric_key(measure, condition=name)) for name in (own, *others)}
    means = {name: entry["value"] for name, entry in entries.items() if entry}
    if own not in means:
        return ""
    value, sign = means.pop(own), -1 if display.better == "lower" else 1
    better = [name for name, mean in means.items() if sign * (value - mean) > 0]
    no_better = [name for name in means if name not in better]
    parts = [f"To see: {display.label}, {own}: {display.number(value)} {display.unit}".rstrip()]
    for word, names in (("better", better), ("no better", no_better)):
        if names:
            parts.append(f"{word} than " + " and ".join(f"{name} ({display.number(means[name])})" for name in names))
    return ", ".join(parts) + "."
