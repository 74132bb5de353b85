"""Stage ``tables``: all tables from metrics files, beside published numbers; every cell leads back to its rows."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from v2l.artifacts import read_json, write_json
from v2l.config.fewshot import AnswerConfig, RunConfig
from v2l.errors import ArtifactError
from v2l.metrics.entries import relative_name
from v2l.report.cells import Source
from v2l.report.language_tables import caption_table, few_shot_table, semantics_table, vqa_table
from v2l.report.picture_tables import masked_table, reconstruction_table, restoration_table
from v2l.report.summary_tables import ablation_table, claims_table
from v2l.report.table_files import write_table

PUBLISHED_COLUMNS = ["table", "row", "metric", "value", "source"]


def tables(
    classify: Path,
    semantics: Path,
    reconstruct: Path,
    restore: Path,
    caption: Path,
    vqa: Path,
    masked: Path,
    claims: Path,
    published: Path,
    folder: Path,
    runs: Mapping[str, RunConfig],
    answer: AnswerConfig,
    seed: int,
) -> None:
    """Writes table1 to table7, ablations and claims (CSV, Markdown, LaTeX), and index.json. Raises ArtifactError."""
    printed = read_published(published)
    few_shot, words, pictures = (_source(path) for path in (classify, semantics, reconstruct))
    built = [
        few_shot_table(few_shot, printed, runs, answer, seed),
        semantics_table(words, printed, seed),
        reconstruction_table(pictures, printed, seed),
        restoration_table(_source(restore), printed, seed),
        caption_table(_source(caption), seed),
        vqa_table(_source(vqa), seed),
        masked_table(_source(masked), seed),
        ablation_table(few_shot, words, pictures, runs, seed),
        claims_table(claims, read_json(claims), seed),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    index = [{**asdict(table), "heading": table.heading, "files": write_table(table, folder)} for table in built]
    write_json(folder / "index.json", index)


def _source(path: Path) -> Source:
    return Source(relative_name(path), read_json(path))


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
