"""What a table is, and its files: CSV for machines, Markdown for readers and LaTeX for papers.

The LaTeX needs the packages booktabs and, for tables longer than a page, longtable.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.report.display import DASH

CSV_DIGITS = 4
CSV_NUMBERS = ("value", "low", "high", "n")
LONG_ROWS = 25  # two lines each: more would not fit on a page
WIDE_COLUMNS = 7  # more need smaller type on a page 16 cm wide
LABEL_CM = 3.4
LATEX = str.maketrans(
    {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$",
     "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", DASH: "--"}
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One number. Values are in the column's printed unit; a dash cell has none.

    metrics_file, metric_key and rows are set where this suite computed the number, source where a paper printed it.
    files: of a claim, all rows files behind it.   strong: set in bold.
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
    files: tuple[str, ...] = ()
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """columns: ids as in the cells; corner: what stands above the row labels; cells: row by row, one a column.

    widths_cm: where cells are words, printed widths of label and columns; empty where they are numbers.
    """

    name: str
    title: str
    caption: str
    corner: str
    columns: list[str]
    headings: list[str]
    cells: list[Cell]
    widths_cm: tuple[float, ...] = ()

    @property
    def heading(self) -> str:
        """Number, for the paper's tables and those that go on with them, and title."""
        number = self.name.removeprefix("table")
        return f"Table {number}. {self.title}" if number.isdigit() else self.title


def write_table(table: Table, folder: Path) -> dict[str, str]:
    """Writes <name>.csv (a row a cell, four digits), .md and .tex (rounded, with intervals); returns their names."""
    texts = {"csv": _csv(table), "md": _markdown(table), "tex": _latex(table)}
    for suffix, text in texts.items():
        (folder / f"{table.name}.{suffix}").write_text(text, encoding="utf-8")
    return {suffix: f"{table.name}.{suffix}" for suffix in texts}


def _csv(table: Table) -> str:
    rows = [
        {
            "row": cell.row,
            "column": cell.column,
            "text": cell.text,
            "unit": cell.unit,
            **{name: getattr(cell, name) for name in CSV_NUMBERS},
            "source": cell.source or (cell.metric_key and f"{cell.metrics_file}: {cell.metric_key}"),
        }
        for cell in table.cells
    ]
    frame = pd.DataFrame(rows, columns=["row", "column", "text", "unit", *CSV_NUMBERS, "source"])
    return frame.astype({"n": "Int64"}).round(CSV_DIGITS).to_csv(index=False, lineterminator="\n")


def _grid(table: Table, text: Callable[[Cell], str]) -> pd.DataFrame:
    """The texts of the cells as they are read: rows by columns."""
    cells = pd.DataFrame(
        [(cell.row, cell.column, text(cell)) for cell in table.cells], columns=["row", "column", "text"]
    )
    grid = cells.pivot(index="row", columns="column", values="text")
    return grid.reindex(index=cells["row"].drop_duplicates(), columns=table.columns)


def _markdown(table: Table) -> str:
    grid = _grid(table, lambda cell: f"**{cell.text}**" if cell.strong else cell.text)
    grid = grid.set_axis(table.headings, axis="columns").rename_axis(index=table.corner)
    side = "left" if table.widths_cm else "right"
    body = grid.to_markdown(disable_numparse=True, colalign=("left", *(side for _ in table.columns)))
    return f"**{table.heading}.** {table.caption}\n\n{body}\n"


def _latex(table: Table) -> str:
    grid = _grid(table, _latex_cell)
    grid.index = [label.translate(LATEX) for label in grid.index]
    # Label above unit, so that a column is no wider than its numbers.
    grid.columns = [_stacked(re.split(r", | (?=\()", heading)) for heading in table.headings]
    grid.columns.name = table.corner.translate(LATEX) or None
    numbers = f"p{{{LABEL_CM}cm}}" + "r" * len(grid.columns)
    long = len(grid) > LONG_ROWS
    body = grid.style.to_latex(
        environment="longtable" if long else None,
        hrules=True,
        column_format="".join(f"p{{{width}cm}}" for width in table.widths_cm) or numbers,
        position=None if long else "htbp",
        position_float=None if long else "centering",
        caption=f"{table.title}. {table.caption}".translate(LATEX),
        label=f"tab:{table.name}",
    )
    size = r"\scriptsize" if len(table.columns) > WIDE_COLUMNS else r"\footnotesize"
    small = f"{size}\\setlength{{\\tabcolsep}}{{3pt}}%\n"
    # A float sets its type back to the normal size, a long table does not; that repeats its caption on every page.
    if long:
        return "{" + small + re.sub(r"\\caption\[\].*\n", "", body) + "}\n"
    return body.replace("\\centering\n", "\\centering\n" + small)


def _latex_cell(cell: Cell) -> str:
    """The interval goes below the value, so that eight columns fit a page."""
    value, bracket, interval = cell.text.partition(" [")
    text = _stacked([value, f"[{interval}"]) if bracket else value.translate(LATEX)
    return rf"\textbf{{{text}}}" if cell.strong else text


def _stacked(lines: list[str]) -> str:
    """Lines one above the other; without the braces LaTeX would read a bracket after the line end as its argument."""
    lines = [line.translate(LATEX) for line in lines]
    return r"\shortstack{" + r"\\{}".join(lines) + "}" if len(lines) > 1 else lines[0]
