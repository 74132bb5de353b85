"""The reviewer's path: metrics, tables and figures anew from stored predictions, compared with the digests on record.

Needs no torch, no model and no training: only stages that compute from rows are run, each on the stored files.
"""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from v2l.artifacts import provenance_path
from v2l.config.tree import Config
from v2l.errors import ArtifactError
from v2l.runner import run_stage
from v2l.stages import STAGES, Stage
from v2l.versioning.digests import differences, digest, read_digests, result_digests

REGENERATED = "regenerated"
EXAMPLES = "results/demo/"  # where the table of stages has its results
TIMED = {"report"}  # tells of times, so no two runs give the same bytes

logger = logging.getLogger(__name__)


def regenerated_stages() -> list[Stage]:
    """Stages that summarise, draw or write: no network computes in them and they read nothing but results."""
    return [
        stage
        for stage in STAGES.values()
        if not stage.compute
        and stage.inputs
        and all(spec.example.startswith((EXAMPLES, "config/")) for spec in stage.inputs.values())
        and stage.name not in TIMED
    ]


def review(config: Config, results: Path) -> str:
    """Writes everything anew below ``results/<name>/regenerated`` and says that it is the same, to the byte.

    Raises ArtifactError that names each stored file that is missing or altered, or each regenerated one that differs.
    """
    expected = read_digests(results)["files"]
    stages = regenerated_stages()
    _check_stored(results, stages, expected)
    folder = results / REGENERATED
    shutil.rmtree(folder, ignore_errors=True)
    for stage in stages:
        inputs = {name: results / relative for name, relative in _paths(stage.inputs)}
        outputs = {name: folder / relative for name, relative in _paths(stage.outputs)}
        run_stage(stage, config, {name: path for name, path in inputs.items() if path.is_file()}, outputs)
        for path in outputs.values():
            provenance_path(path).unlink(missing_ok=True)
    found = result_digests(folder)
    if wrong := differences({name: expected[name] for name in found if name in expected}, found):
        raise ArtifactError(f"{folder}: not what digests.json says: {_listed(wrong)}")
    tables, figures = (sum(name.startswith(kind) for name in found) for kind in ("tables/", "figures/"))
    return f"{folder}: {len(found)} files, {tables} of tables and {figures} of figures among them, all as on record"


def _paths(specs: dict) -> Iterator[tuple[str, str]]:
    """Each file's name with its path below the results folder, or from there to the configuration."""
    for name, spec in specs.items():
        example = spec.example
        yield name, example.removeprefix(EXAMPLES) if example.startswith(EXAMPLES) else f"../../{example}"


def _check_stored(results: Path, stages: list[Stage], expected: dict[str, str]) -> None:
    needed = sorted({path for stage in stages for _, path in _paths(stage.inputs) if path in expected})
    found = {path: digest(results / path) for path in needed if (results / path).exists()}
    if wrong := differences({path: expected[path] for path in needed}, found):
        raise ArtifactError(f"{results}: stored files are not those on record: {_listed(wrong)}")


def _listed(wrong: dict[str, str]) -> str:
    return ", ".join(f"{name} ({what})" for name, what in wrong.items())
