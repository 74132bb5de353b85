"""One self-contained HTML page: headline numbers, claims, figures, tables, origin of each number, and the settings."""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from v2l.artifacts import read_json
from v2l.errors import ArtifactError
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.metrics.entries import Metrics, relative_name
from v2l.report.display import CODEBOOKS, METHODS, display_of
from v2l.report.provenance import history, job_name
from v2l.report.summary_tables import count_verdicts

CLAIMS_TABLE = "claims"

# Keys of the headline numbers, in the order in which they are shown.
HEADLINES = (
    rf"accuracy \| {MAIN_TOKENIZER} \| .* \| average",
    r"zero_shot_top1 \| .*",
    r"clip \| orders_1_3 \| Kg=5",
    rf"psnr \| {MAIN_TOKENIZER}",
    rf"lpips_vgg \| {MAIN_TOKENIZER}",
    rf"tokens_restored \| {MAIN_TOKENIZER} \| .* \| restored",
    r"tokens_restored \| after tuning",
    r"cider_d \| picture words",
    r"vqa_accuracy \| picture words",
)


def page(
    tables: Path,
    figures: Path,
    claims: Path,
    usage: Path,
    semantics: Path,
    classify: Path,
    reconstruct: Path,
    restore: Path,
    caption: Path,
    vqa: Path,
    masked: Path,
    page: Path,
    clip: Path | None = None,
) -> None:
    """Writes the page. tables, figures: index.json of their folders; claims: claims.json; the rest are metrics files.

    Provenance files beside the metrics, where there are any, give the settings and the cost of every stage; ``clip``
    may be absent. Raises ArtifactError.
    """
    named = (clip, classify, semantics, reconstruct, restore, caption, vqa, masked, usage)
    files = [path for path in named if path is not None]
    metrics = {relative_name(path): read_json(path) for path in files}
    root = tables.parent.parent
    past = history(root, [*files, claims])
    shown = [_shown_table(item) for item in read_json(tables)]
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
        verdicts=count_verdicts(read_json(claims)),
        claims=[table for table in shown if table["name"] == CLAIMS_TABLE],
        figures=[_inlined(item, figures) for item in read_json(figures)],
        tables=[table for table in shown if table["name"] != CLAIMS_TABLE],
        metrics=[row for file, entries in metrics.items() for row in _metric_rows(file, entries)],
        stages=[{**record, "job": job_name(record)} for record in past.records],
        sources=past.sources,
        # Sections may lie within others, e.g. one run within all runs.
        parameters=sorted(set(flatten(past.parameters))),
        seeds=sorted({record["seed"] for record in past.records}),
        versions=sorted({record["code_version"] for record in past.records}),
    )
    page.write_text(text, encoding="utf-8")


def headlines(metrics: Mapping[str, Metrics]) -> list[dict[str, Any]]:
    """The chosen entries of all metrics files as label, number, unit and interval, in the order of HEADLINES."""
    entries = [item for of_file in metrics.values() for item in _in_natural_order(of_file)]
    return [_headline(key, entry) for form in HEADLINES for key, entry in entries if re.fullmatch(form, key)]


def _plain_name(part: str) -> str:
    return METHODS.get(part) or CODEBOOKS.get(part, part)


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
        "label": display.label, "parts": ", ".join(map(_plain_name, parts)), "number": number, "unit": display.unit,
        "interval": interval, "n": entry["n"],
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
    number = re.fullmatch(r"fig(\d+)", item["name"])  # of the paper; others are this suite's own
    heading = f"Figure {number[1]}. {item['title']}" if number else item["title"]
    return {**item, "heading": heading, "data": base64.b64encode(picture.read_bytes()).decode("ascii")}


def _shown_table(table: Mapping[str, Any]) -> dict[str, Any]:
    """With each row's cells in column order, their texts split into number and interval, and with all origins."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for cell in table["cells"]:
        number, bracket, interval = cell["text"].partition(" [")
        verdict = cell["text"].replace(" ", "-") if cell["column"] == "verdict" else ""
        shown = {
            **cell, "number": number, "interval": bracket.strip() + interval, "origin": _origin(cell),
            "verdict": verdict,
        }  # fmt: skip
        rows.setdefault(cell["row"], []).append(shown)
    origins = [item for label, cells in rows.items() for item in _origins(label, cells)]
    return {**table, "rows": list(rows.items()), "origins": origins}


def _origins(row: str, cells: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Row, column and origin of every cell that has one; once for all cells of a row that share it."""
    found = [(cell["column"], cell["origin"]) for cell in cells if cell["origin"]]
    if len(found) > 1 and len({origin for _, origin in found}) == 1:
        yield row, "all", found[0][1]
        return
    for column, origin in found:
        yield row, column, origin


def _origin(cell: Mapping[str, Any]) -> str:
    if cell["metric_key"] is None:
        return cell["source"] or ""
    return f"{cell['metrics_file']}: {cell['metric_key']}; {', '.join(cell['files']) or _selection(cell['rows'])}"


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
