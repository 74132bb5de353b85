from pathlib import Path

import pytest

from v2l.stages import STAGES
from v2l.versioning.dag import graph_jobs
from v2l.versioning.review import regenerated_stages


@pytest.fixture(scope="module")
def written(repository: Path) -> set[str]:
    """Every file that a rule of the default graph writes, and the folders they lie in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        outputs = {output for job in graph_jobs(Path("config/demo.yaml")) for output in job.outputs}
    return outputs | {str(Path(output).parent) for output in outputs}


def test_files_of_every_stage_are_those_that_the_rules_write(written: set[str], repository: Path) -> None:
    for stage in STAGES.values():
        for spec in (*stage.inputs.values(), *stage.outputs.values()):
            assert spec.example in written or (repository / spec.example).is_file(), f"{stage.name}: {spec.example}"
            assert not spec.each or "{}" in spec.path


def test_stages_are_listed_in_an_order_in_which_they_can_run() -> None:
    made: set[str] = set()
    for stage in STAGES.values():
        for spec in stage.inputs.values():
            makers = {other.name for other in STAGES.values() for out in other.outputs.values() if out == spec}
            assert not makers or spec.example in made, f"{stage.name}: {spec.example}"
        made |= {spec.example for spec in stage.outputs.values()}


def test_reviewer_regenerates_metrics_tables_and_figures_and_nothing_that_computes() -> None:
    names = {stage.name for stage in regenerated_stages()}
    metrics = {name for name in STAGES if name.endswith("-metrics")}
    assert len(metrics) == 7
    assert metrics | {"claims", "tables", "figures"} <= names
    assert not names & {"train", "classify", "reconstruct", "restore", "semantics", "report", "emoji", "local-words"}
