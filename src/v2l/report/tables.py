"""Tables 1 to 3 from metrics files, beside published numbers; every cell leads back to its metrics entry and rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.artifacts import read_json, write_json
from v2l.config.fewshot import FewShotConfig
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics, distinct_values, metric_key, relative_name
from v2l.metrics.few_shot import AVERAGE
from v2l.report.display import DASH, DISPLAYS, Display
from v2l.report.table_files import Cell, Table, write_table

PUBLISHED_COLUMNS = ["table", "row", "metric", "value", "source"]
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
    published: tuple[str, str]


def tables(
    classify: Path, semantics: Path, reconstruct: Path, published: Path, folder: Path, fewshot: FewShotConfig, seed: int
) -> None:
    """Writes table1 to table3 as CSV, Markdown and LaTeX, and index.json. Raises ArtifactError."""
    printed = read_published(published)
    built = [
        few_shot_table(read_json(classify), relative_name(classify), printed, fewshot, seed),
        semantics_table(read_json(semantics), relative_name(semantics), printed, seed),
        reconstruction_table(read_json(reconstruct), relative_name(reconstruct), printed, seed),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "index.json", [{**asdict(table), "files": write_table(table, folder)} for table in built])


def read_published(path: Path) -> pd.DataFrame:
    """Published numbers, each with its source. Raises ArtifactError if the file is not such a table."""
    try:
        printed = pd.read_csv(path, dtype={"value": float})
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable table of published numbers ({error})") from None
    if list(printed.columns) != PUBLISHED_COLUMNS:
        raise ArtifactError(f"{path}: expected columns {PUBLISHED_COLUMNS}, found {list(printed.columns)}")
    if (empty := printed.isna().any(axis=1)).any():
        raise ArtifactError(f"{path}: expected every field filled, found an empty one on line {empty.argmax() + 2}")
    return printed


def few_shot_table(metrics: Metrics, file: str, printed: pd.DataFrame, fewshot: FewShotConfig, seed: int) -> Table:
    """Table 1: rows ways x Kg, columns the settings and their average."""
    display = DISPLAYS["accuracy"]
    ids = [*(setting.name for setting in fewshot.settings), AVERAGE]
    columns = [Column(id_, id_, display, ("table1", id_)) for id_ in ids]
    rows = {
        f"V2L, {ways}-way, Kg={num_global}": {
            id_: metric_key("accuracy", ways=ways, num_global=num_global, setting=id_) for id_ in ids
        }
        for ways in distinct_values(metrics, "ways")
        for num_global in distinct_values(metrics, "num_global")
    }
    cells = _cells(rows, columns, metrics, file, printed)
    separator = repr(fewshot.separator) if fewshot.separator else "nothing"
    exact = fewshot.constraint == "exact"
    constraint = "one of the class names" if exact else "class names position by position (mixtures pass)"
    caption = _caption(
        cells,
        "Held-out query pictures classified by the frozen LLM from the words of their Kg global tokens, "
        f"joined by {separator}. K: support examples a class; repeats: further copies of each. With induction the "
        f"answer is constrained to {constraint}; without, it is free.",
        f"Brackets: 95 % Wilson interval over {_items(cells, 'episodes')}; of the average a t-interval over the "
        "episodes' means.",
        seed,
    )
    return _table("table1", "Few-shot classification", caption, columns, cells, corner=display.heading)


def semantics_table(metrics: Metrics, file: str, printed: pd.DataFrame, seed: int) -> Table:
    """Table 2: rows n-gram orders x Kg, columns CLIP score, relative CLIP score, codebook size."""
    columns = [
        _measure("clip", ("table2", "clip")),
        _measure("clip_r", ("table2", "clip_r")),
        _measure("codebook_size", ("settings", "global_codebook_size")),
    ]
    rows = {
        f"V2L, {codebook}, Kg={num_global}": {
            "clip": metric_key("clip", codebook=codebook, num_global=num_global),
            "clip_r": metric_key("clip_r", codebook=codebook, num_global=num_global),
            "codebook_size": metric_key("codebook_size", codebook=codebook),
        }
        for codebook in distinct_values(metrics, "codebook")
        for num_global in distinct_values(metrics, "num_global")
    }
    cells = _cells(rows, columns, metrics, file, printed)
    caption = _caption(
        cells,
        "How well the Kg global tokens of held-out pictures fit them, by the n-gram orders that the global codebook "
        "may draw on. CLIP: cosine of image and text embedding, mean over tokens; CLIP-R: relative CLIP score.",
        f"Brackets: 95 % t-interval over {_items(cells, 'pictures')}.",
        seed,
    )
    return _table("table2", "Semantic quality of global tokens", caption, columns, cells)


def reconstruction_table(metrics: Metrics, file: str, printed: pd.DataFrame, seed: int) -> Table:
    """Table 3: reconstruction of held-out pictures."""
    names = ("psnr", "ssim", "lpips_vgg", "lpips_alex", "frechet_vgg16", "fid")
    columns = [_measure(name, ("table3", name)) for name in names]
    cells = _cells({"V2L, this run": {name: metric_key(name) for name in names}}, columns, metrics, file, printed)
    caption = _caption(
        cells,
        "Held-out pictures decoded from their tokens. Fréchet (VGG16) is FID's formula on VGG16 features: it "
        "cannot be compared with an FID.",
        f"Brackets: 95 % t-interval over {_items(cells, 'pictures')}.",
        seed,
    )
    return _table("table3", "Reconstruction", caption, columns, cells)


def _measure(name: str, published: tuple[str, str]) -> Column:
    return Column(name, DISPLAYS[name].heading, DISPLAYS[name], published)


def _table(
    name: str, title: str, caption: str, columns: Sequence[Column], cells: list[Cell], corner: str = ""
) -> Table:
    ids, headings = [column.id for column in columns], [column.heading for column in columns]
    return Table(name, title, caption, corner, ids, headings, cells)


def _cells(
    rows: Mapping[str, Mapping[str, str]], columns: Sequence[Column], metrics: Metrics, file: str, printed: pd.DataFrame
) -> list[Cell]:
    """Our rows (label to column id to metric key), then a row for each method with a printed number in a column."""
    own = [_own_cell(row, column, keys[column.id], metrics, file) for row, keys in rows.items() for column in columns]
    found = {(item.row, (item.table, item.metric)): item for item in printed.itertuples()}
    places = {column.published for column in columns}
    methods = dict.fromkeys(method for method, place in found if place in places)
    return own + [
        _published_cell(f"{method}, published", column, found.get((method, column.published)))
        for method in methods
        for column in columns
    ]


def _own_cell(row: str, column: Column, key: str, metrics: Metrics, file: str) -> Cell:
    display = column.display
    entry = metrics.get(key)
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
        metrics_file=file,
        metric_key=key,
        rows=entry["rows"],
    )


def _published_cell(row: str, column: Column, item: Any) -> Cell:
    if item is None:
        return Cell(row, column.id, unit=column.display.unit)
    # A printed number is in the printed unit already, so it is rounded but not scaled.
    text = f"{item.value:,.{column.display.digits}f}"
    return Cell(row, column.id, text, item.value, unit=column.display.unit, source=item.source)


def _items(cells: Iterable[Cell], noun: str) -> str:
    """How many items stand behind the intervals, e.g. ``50 episodes``."""
    counts = sorted({cell.n for cell in cells if cell.low is not None})
    return f"{' or '.join(f'{count:,}' for count in counts) or 'no'} {noun}"


def _caption(cells: Iterable[Cell], what: str, interval: str, seed: int) -> str:
    sources = "; ".join(sorted({cell.source for cell in cells if cell.source}))
    note = f"{PUBLISHED_NOTE} Source: {sources}." if sources else NOTHING_PUBLISHED
    return f"{what} {interval} {DASH}: not computed or not on record. Seed {seed}. {note}"
