"""What a table is, and its files: CSV for machines, Markdown for readers and LaTeX for papers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.report.display import DASH

CSV_DIGITS = 4
CSV_NUMBERS = ("value", "low", "high", "n")
LATEX = str.maketrans(
    {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$",
     "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", DASH: "--"}
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One number. Values are in the column's printed unit; a dash cell has none.

    metrics_file, metric_key and rows are set where this suite computed the number, source where a paper printed it.
    """

    row: str
    column: str
    text: str = DASH
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str = ""
    metrics_file: str | None = None
    metric_key: str | None = None
    rows: dict[str, Any] | None = None
    source: str | None = None


@dataclass(frozen=True)
class Table:
    """columns: ids as in the cells; corner: what stands above the row labels; cells: row by row, one a column."""

    name: str
    title: str
    caption: str
    corner: str
    columns: list[str]
    headings: list[str]
    cells: list[Cell]


def write_table(table: Table, folder: Path) -> dict[str, str]:
    """Writes <name>.csv (a row a cell, four digits), .md and .tex (rounded, with intervals); returns their names."""
    texts = {"csv": _csv(table), "md": _markdown(table), "tex": _latex(table)}
    for suffix, text in texts.items():
        (folder / f"{table.name}.{suffix}").write_text(text, encoding="utf-8")
    return {suffix: f"{table.name}.{suffix}" for suffix in texts}


def _csv(table: Table) -> str:
    frame = pd.DataFrame(
        [
            {
                "row": cell.row,
                "column": cell.column,
                "unit": cell.unit,
                **{name: getattr(cell, name) for name in CSV_NUMBERS},
                "source": cell.source or (cell.metric_key and f"{cell.metrics_file}: {cell.metric_key}"),
            }
            for cell in table.cells
        ]
    )
    return frame.astype({"n": "Int64"}).round(CSV_DIGITS).to_csv(index=False, lineterminator="\n")


def _grid(table: Table) -> pd.DataFrame:
    """The texts of the cells as they are read: rows by columns."""
    cells = pd.DataFrame([{"row": cell.row, "column": cell.column, "text": cell.text} for cell in table.cells])
    rows = cells["row"].drop_duplicates()
    return cells.pivot(index="row", columns="column", values="text").loc[rows, table.columns]


def _markdown(table: Table) -> str:
    grid = _grid(table).set_axis(table.headings, axis="columns").rename_axis(index=table.corner)
    body = grid.to_markdown(disable_numparse=True, colalign=("left", *("right" for _ in table.columns)))
    return f"**{table.title}.** {table.caption}\n\n{body}\n"


def _latex(table: Table) -> str:
    grid = _grid(table).map(_latex_cell)
    grid.index = [label.translate(LATEX) for label in grid.index]
    grid.columns = [_stacked(heading.split(", ")) for heading in table.headings]
    grid.columns.name = table.corner.translate(LATEX) or None
    return grid.style.to_latex(
        hrules=True,
        column_format="l" + "r" * len(grid.columns),
        position="htbp",
        position_float="centering",
        caption=f"{table.title}. {table.caption}".translate(LATEX),
        label=f"tab:{table.name}",
    )


def _latex_cell(text: str) -> str:
    """The interval goes below the value, so that eight columns fit a page."""
    value, bracket, interval = text.partition(" [")
    return _stacked([value, f"[{interval}"]) if bracket else text.translate(LATEX)


def _stacked(lines: list[str]) -> str:
    """Lines one above the other; without the braces LaTeX would read a bracket after the line end as its argument."""
    lines = [line.translate(LATEX) for line in lines]
    return r"\shortstack{" + r"\\{}".join(lines) + "}" if len(lines) > 1 else lines[0]
