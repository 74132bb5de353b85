"""Compares a run with the published snapshot, the results that the checked-out commit holds.

On the machine type of the snapshot every file must have the same bytes. Elsewhere sums are rounded in another order and
training amplifies that: there each metric must lie within a tolerance.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.artifacts import read_json
from v2l.errors import ArtifactError
from v2l.versioning.digests import DIGESTS, describe_run, differences

SHARE = 0.1  # tolerance of a value without an interval, as a share of it
COLUMNS = ["metric", "published", "this run", "difference", "tolerance", "within"]


def verify(results: Path, revision: str) -> tuple[str, bool]:
    """What differs from the snapshot in ``revision``, as text, and whether the run passes.

    Raises ArtifactError if there is no such snapshot.
    """
    published, own = json.loads(_at(revision, results / DIGESTS)), describe_run(results)
    wrong = differences(published["files"], own["files"])
    if not wrong:
        return f"{results}: all {len(own['files'])} files have the bytes of the snapshot in {revision}", True
    same_machine = published["machines"] == own["machines"]
    files = [name for name in sorted(published["files"].keys() & own["files"].keys()) if name.endswith("metrics.json")]
    rows = [row for name in files if name in wrong for row in _compare(revision, results / name)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    lines = [
        f"{results}: {len(wrong)} of {len(published['files'])} files differ from the snapshot in {revision}",
        *(f"  {name}: {what}" for name, what in wrong.items()),
        f"machine of the snapshot: {'; '.join(published['machines'])}",
        f"machine of this run:     {'; '.join(own['machines'])}",
    ]
    if rows:
        lines.append(table.to_markdown(index=False, floatfmt=".4g"))
    if same_machine:
        return "\n".join([*lines, "same machine type: the bytes should be the same"]), False
    missing = [name for name, what in wrong.items() if what == "missing"]
    passed = bool(table["within"].eq("yes").all()) and not missing
    verdict = "every metric within its tolerance" if passed else "beyond tolerance"
    return "\n".join([*lines, f"another machine type: {verdict}"]), passed


def _at(revision: str, path: Path) -> str:
    done = subprocess.run(["git", "show", f"{revision}:./{path}"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ArtifactError(f"{path}: no snapshot in {revision} ({' '.join(done.stderr.split())})")
    return done.stdout


def _compare(revision: str, path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a metrics file that differ, with the tolerance of each."""
    published, own = json.loads(_at(revision, path)), read_json(path)
    for key in sorted(published.keys() | own.keys()):
        old, new = published.get(key), own.get(key)
        if old is None or new is None:
            numbers = {"published": old and old["value"], "this run": new and new["value"], "within": "no"}
        elif old["value"] == new["value"]:
            continue
        else:
            difference, allowed = new["value"] - old["value"], tolerance(old)
            numbers = {
                "published": old["value"], "this run": new["value"], "difference": difference, "tolerance": allowed,
                "within": "yes" if abs(difference) <= allowed else "no",
            }  # fmt: skip
        yield {"metric": f"{path.parent.name}: {key}".replace("|", "/"), **numbers}


def tolerance(entry: Mapping[str, Any]) -> float:
    """How far a value may lie from a published one: the width of its 95 % interval, or a tenth where it has none."""
    if entry["low"] is None:
        return SHARE * abs(entry["value"])
    return entry["high"] - entry["low"]
