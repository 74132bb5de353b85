"""Digests of results: ``results/<name>/digests.json`` says what bytes a run of this configuration gave."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from v2l.artifacts import PROVENANCE_SUFFIX, read_json, sha256_file, stable_hash, write_json
from v2l.shards import BETWEEN

DIGESTS = "digests.json"
RECORDS = "snakemake.json"
# They tell of time and place, not of results.
NOT_FILES = {DIGESTS, RECORDS, "config.yaml", "report.html"}
PICTURES = "data/pictures"
NOT_FOLDERS = {"logs", "tensorboard", "regenerated", "shards"}


def digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and digests of all files of a folder."""
    if path.is_dir():
        return stable_hash({str(file.relative_to(path)): sha256_file(file) for file in _files(path)})
    return sha256_file(path)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in NOT_FOLDERS and not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(names) if not name.startswith("."))


def result_digests(results: Path) -> dict[str, str]:
    """SHA-256 of every result below ``results``, by relative name, the pictures as one; provenance, logs and the page,
    which tell of times, are left out."""
    pictures = {PICTURES: digest(results / PICTURES)} if (results / PICTURES).is_dir() else {}
    return pictures | {
        name: sha256_file(path)
        for path in _files(results)
        if (name := path.relative_to(results).as_posix()) not in NOT_FILES
        and not name.endswith(PROVENANCE_SUFFIX)
        and not name.startswith(f"{PICTURES}/")
    }


def describe_run(results: Path) -> dict[str, Any]:
    """The digests of a run as ``files``, and the ``machines`` that its provenance files tell of."""
    told = {read_json(path)["machine"] for path in results.rglob(f"*{PROVENANCE_SUFFIX}")}
    machines = {machine for text in told for machine in text.split(BETWEEN)}
    return {"files": result_digests(results), "machines": sorted(machines)}


def write_digests(results: Path) -> None:
    """Writes ``digests.json`` beside the results: see `describe_run`."""
    write_json(results / DIGESTS, describe_run(results))


def read_digests(results: Path) -> dict[str, Any]:
    """Raises ArtifactError if there are none."""
    return read_json(results / DIGESTS)


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with each name that is not the same on both sides: missing, new or other bytes."""
    wrong = {}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            wrong[name] = "missing"
        elif name not in expected:
            wrong[name] = "not on record"
        elif expected[name] != found[name]:
            wrong[name] = "other bytes"
    return wrong
