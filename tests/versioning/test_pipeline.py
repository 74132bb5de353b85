from pathlib import Path

import pytest
import yaml

from v2l.cli import main
from v2l.errors import ConfigError
from v2l.stages import STAGES
from v2l.versioning.dag import graph_jobs
from v2l.versioning.pipeline import pipeline_text

DEMO = Path("config/demo.yaml")


@pytest.fixture(autouse=True)
def _in_the_checkout(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


@pytest.fixture
def pipeline() -> dict:
    return yaml.safe_load(Path("dvc.yaml").read_text())


def test_committed_pipeline_is_the_one_that_the_graph_gives(caplog: pytest.LogCaptureFixture) -> None:
    assert main(["pipeline", "--check"]) == 0, caplog.text


def test_another_pipeline_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    for name in ("Snakefile", "workflow", "config", "profiles"):
        (tmp_path / name).symlink_to(Path(name).resolve())
    text = Path("dvc.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(
        text.replace("results/demo/classify/predictions_v2l.parquet", "results/demo/guesses.parquet")
    )
    assert main(["pipeline", "--check"]) == 1
    assert "dvc.yaml: not what the graph of config/demo.yaml gives; make it anew: v2l pipeline" in caplog.text


def test_every_family_is_a_stage_and_every_output_has_one_owner(pipeline: dict) -> None:
    assert set(pipeline["stages"]) == {stage.family for stage in STAGES.values()} - {"release"}  # another graph's
    outputs = [
        name
        for stage in pipeline["stages"].values()
        for item in (*stage.get("outs", []), *stage.get("metrics", []))
        for name in item
    ]
    assert len(set(outputs)) == len(outputs)
    made = {name for job in graph_jobs(DEMO) for name in job.outputs}
    assert {name for name in made if not name.startswith("data/archives/")} == set(outputs)


def test_inputs_of_a_stage_are_raw_data_code_or_outputs_of_others(pipeline: dict) -> None:
    outputs = {name for job in graph_jobs(DEMO) for name in job.outputs}
    for stage in pipeline["stages"].values():
        for name in stage["deps"]:
            assert name in outputs or name.startswith("src/v2l/") or name == "config/published.csv"


def test_parameters_are_keys_of_the_configuration_file(pipeline: dict) -> None:
    tree = yaml.safe_load(DEMO.read_text())
    keys = {key for stage in pipeline["stages"].values() for item in stage.get("params", []) for key in item[str(DEMO)]}
    assert {"train", "vocab.filter", "tokenizers.spae", "fewshot.runs.v2l", "seed"} <= keys
    for key in keys:
        section = tree
        for part in key.split("."):
            section = section[part]


def test_key_that_is_used_but_not_written_down_is_named(tmp_path: Path) -> None:
    tree = yaml.safe_load(DEMO.read_text())
    del tree["figures"]
    config = tmp_path / "short.yaml"
    config.write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=r"short\.yaml: figures.*: missing; DVC can only follow keys"):
        pipeline_text(config)
