"""The reviewer's path: metrics, tables and figures anew from stored predictions, compared with the digests on record.

Needs no torch, no model and no training: only stages that compute from rows are run, each on the stored files.
"""

import logging
import shutil
from pathlib import Path

from v2l.artifacts import provenance_path
from v2l.config.tree import Config, get_section
from v2l.errors import ArtifactError
from v2l.graph.spec import MAIN_TOKENIZER, RESULTS, Spec, Stage
from v2l.runner import run_stage
from v2l.stages import STAGES
from v2l.versioning.digests import differences, digest, read_digests, result_digests

REGENERATED = "regenerated"
TIMED = {"report"}  # tells of times, so no two runs give the same bytes

logger = logging.getLogger(__name__)


def regenerated_stages() -> list[Stage]:
    """Stages that summarise, draw or write: no network computes in them, they read nothing but results, and there is
    one run of each."""
    return [
        stage
        for stage in STAGES.values()
        if not stage.compute
        and stage.inputs
        and all(spec.path.startswith((RESULTS, "config/")) for spec in stage.inputs.values())
        and not any("{" in spec.path for spec in stage.outputs.values())
        and stage.name not in TIMED
    ]


def review(config: Config, results: Path) -> str:
    """Writes everything anew below ``results/<name>/regenerated`` and says that it is the same, to the byte.

    Raises ArtifactError that names each stored file that is missing or altered, or each regenerated one that differs.
    """
    expected = read_digests(results)["files"]
    stages = regenerated_stages()
    _check_stored(results, config, stages, expected)
    folder = results / REGENERATED
    shutil.rmtree(folder, ignore_errors=True)
    for stage in stages:
        inputs: dict[str, Path | list[Path]] = {}
        for name, spec in stage.inputs.items():
            stored = [results / path for path in _paths(spec, config)]
            if spec.each:
                inputs[name] = stored
            elif stored[0].is_file() or not spec.optional:
                inputs[name] = stored[0]
        outputs = {name: folder / path for name, spec in stage.outputs.items() for path in _paths(spec, config)}
        run_stage(stage, config, inputs, outputs)
        for path in outputs.values():
            provenance_path(path).unlink(missing_ok=True)
    found = result_digests(folder)
    if wrong := differences({name: expected[name] for name in found if name in expected}, found):
        raise ArtifactError(f"{folder}: not what digests.json says: {_listed(wrong)}")
    tables, figures = (sum(name.startswith(kind) for name in found) for kind in ("tables/", "figures/"))
    return f"{folder}: {len(found)} files, {tables} of tables and {figures} of figures among them, all as on record"


def _paths(spec: Spec, config: Config) -> list[str]:
    """The files of an input or output below the results folder, or from there to the configuration."""
    if not spec.path.startswith(RESULTS):
        return [f"../../{spec.path}"]
    pattern = spec.path.removeprefix(RESULTS)
    if spec.each:
        return [pattern.format(item) for item in get_section(config, spec.each)]
    return [pattern.format(codebook=config.vocab.main, name=MAIN_TOKENIZER)]


def _check_stored(results: Path, config: Config, stages: list[Stage], expected: dict[str, str]) -> None:
    paths = {path for stage in stages for spec in stage.inputs.values() for path in _paths(spec, config)}
    needed = sorted(path for path in paths if path in expected)
    found = {path: digest(results / path) for path in needed if (results / path).exists()}
    if wrong := differences({path: expected[path] for path in needed}, found):
        raise ArtifactError(f"{results}: stored files are not those on record: {_listed(wrong)}")


def _listed(wrong: dict[str, str]) -> str:
    return ", ".join(f"{name} ({what})" for name, what in wrong.items())
