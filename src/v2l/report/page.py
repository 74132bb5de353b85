"""One self-contained HTML page: headline numbers, figures, tables, where each number comes from, and the settings."""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from v2l.artifacts import read_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics, relative_name
from v2l.report.display import display_of
from v2l.report.provenance import history

# Keys of the headline numbers, in the order in which they are shown.
HEADLINES = (
    r"accuracy \| .* \| average",
    r"zero_shot_top1 \| .*",
    r"clip \| orders 1-3 \| .*",
    r"psnr",
    r"lpips_alex",
    r"codes_used \| local \| heldout",
)


def page(
    tables: Path,
    figures: Path,
    usage: Path,
    semantics: Path,
    classify: Path,
    reconstruct: Path,
    page: Path,
    clip: Path | None = None,
) -> None:
    """Writes the page. tables, figures: index.json of their folders; the rest are metrics files; clip may be absent.

    Provenance files beside the metrics, where there are any, give the settings and the cost of every stage.
    Raises ArtifactError.
    """
    files = [path for path in (clip, classify, semantics, reconstruct, usage) if path is not None]
    metrics = {relative_name(path): read_json(path) for path in files}
    root = tables.parent.parent
    past = history(root, files)
    template = Environment(
        loader=PackageLoader("v2l.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    text = template.render(
        name=root.name,
        headlines=headlines(metrics),
        figures=[_inlined(item, figures) for item in read_json(figures)],
        tables=[{**item, "rows": _table_rows(item)} for item in read_json(tables)],
        metrics=[row for file, entries in metrics.items() for row in _metric_rows(file, entries)],
        stages=past.records,
        sources=past.sources,
        parameters=list(flatten(past.parameters)),
        seeds=sorted({record["seed"] for record in past.records}),
        versions=sorted({record["code_version"] for record in past.records}),
    )
    page.write_text(text, encoding="utf-8")


def headlines(metrics: Mapping[str, Metrics]) -> list[dict[str, Any]]:
    """The chosen entries of all metrics files as label, number, unit and interval, in the order of HEADLINES."""
    entries = [item for of_file in metrics.values() for item in _in_natural_order(of_file)]
    return [_headline(key, entry) for form in HEADLINES for key, entry in entries if re.fullmatch(form, key)]


def _in_natural_order(entries: Metrics) -> list[tuple[str, dict[str, Any]]]:
    """Sorted by key, numbers in it by size: Kg=5 comes before Kg=21."""

    def parts(item: tuple[str, Any]) -> list[str | int]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", item[0])]

    return sorted(entries.items(), key=parts)


def _headline(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    name, *parts = key.split(" | ")
    display = display_of(name, entry)
    number, _, interval = display.text(entry).partition(" ")
    return {
        "label": display.label, "parts": ", ".join(parts), "number": number, "unit": display.unit, "interval": interval,
        "n": entry["n"],
    }  # fmt: skip


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and values as text, sorted by key."""
    for key, value in sorted(tree.items()):
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _inlined(item: Mapping[str, Any], index: Path) -> dict[str, Any]:
    picture = index.parent / item["png"]
    if not picture.is_file():
        raise ArtifactError(f"{picture}: figure listed in {index.name} not found")
    return {**item, "data": base64.b64encode(picture.read_bytes()).decode("ascii")}


def _table_rows(table: Mapping[str, Any]) -> list[tuple[str, Sequence[dict[str, Any]]]]:
    """Each row label with its cells in column order; a cell's text is split into number and interval."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for cell in table["cells"]:
        number, _, interval = cell["text"].partition(" ")
        shown = {**cell, "number": number, "interval": interval, "origin": _origin(cell)}
        rows.setdefault(cell["row"], []).append(shown)
    return list(rows.items())


def _origin(cell: Mapping[str, Any]) -> str:
    if cell["metric_key"] is None:
        return cell["source"] or ""
    return f"{cell['metrics_file']}: {cell['metric_key']}; {_selection(cell['rows'])}"


def _selection(rows: Mapping[str, Any] | None) -> str:
    """Where the rows behind a value lie, e.g. ``classify/predictions.parquet, ways = 5``."""
    if rows is None:
        return "no rows kept"
    return ", ".join([rows["file"], *(f"{name} = {value}" for name, value in rows["where"].items())])


def _metric_rows(file: str, entries: Metrics) -> Iterator[dict[str, Any]]:
    for key, entry in _in_natural_order(entries):
        display = display_of(key.split(" | ")[0], entry)
        yield {
            "file": file, "key": key, "text": display.text(entry), "unit": display.unit, "n": entry["n"],
            "interval": entry["interval"], "rows": _selection(entry["rows"]),
        }  # fmt: skip
