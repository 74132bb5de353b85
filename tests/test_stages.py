from pathlib import Path

import pytest

from v2l.graph.spec import EXAMPLES
from v2l.stages import STAGES
from v2l.versioning.dag import GraphJob, graph_jobs
from v2l.versioning.review import regenerated_stages


@pytest.fixture(scope="module")
def jobs(repository: Path) -> list[GraphJob]:
    """The jobs of the default graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        return graph_jobs(Path("config/demo.yaml"))


def written_by(job: GraphJob) -> set[str]:
    """Its files, and the folders they lie in."""
    return {*job.outputs, *(str(Path(output).parent) for output in job.outputs)}


def test_files_that_a_stage_reads_are_those_that_the_rules_write(jobs: list[GraphJob], repository: Path) -> None:
    written = {name for job in jobs for name in written_by(job)}
    for stage in STAGES.values():
        for spec in stage.inputs.values():
            if spec.path.startswith("release/"):  # the authors' files, wherever a user has them
                continue
            assert spec.example in written or (repository / spec.example).is_file(), f"{stage.name}: {spec.example}"
            assert not spec.each or "{}" in spec.path


def test_files_that_a_stage_writes_are_those_of_a_rule(jobs: list[GraphJob]) -> None:
    """Under the options of the rule's job: not every stage runs with those of the examples."""
    for stage in STAGES.values():
        for spec in stage.outputs.values():
            written = any(spec.path.format(**EXAMPLES | job.wildcards) in written_by(job) for job in jobs)
            assert written, f"{stage.name}: {spec.path}"


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
