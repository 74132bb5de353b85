import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from v2l import __version__
from v2l import runner as runner_module
from v2l.artifacts import provenance_path, read_json, sha256_file
from v2l.config.tree import load_config
from v2l.errors import ArtifactError, ConfigError, DataError
from v2l.graph.spec import Spec, Stage
from v2l.runner import code_version, run_stage
from v2l.stages import STAGES


def copy_upper(source: Path, target: Path, filter_config, option: str) -> None:
    target.write_text(source.read_text().upper() + f" {filter_config.top_k} {option}")


def write_then_fail(source: Path, target: Path) -> None:  # noqa: ARG001
    target.write_text("half")
    raise DataError("picture.png: cannot be read")


def make_stage(function: str, **changes) -> Stage:
    fields = {
        "name": "test",
        "family": "test",
        "target": f"{__name__}:{function}",
        "summary": "a test",
        "inputs": {"source": Spec("in", "in")},
        "outputs": {"target": Spec("out", "out")},
        "compute": False,
    }
    return Stage(**{**fields, **changes})


@pytest.fixture
def config(repository: Path):
    return load_config(repository / "config" / "smoke.yaml")


@pytest.fixture
def paths(tmp_path: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    (tmp_path / "in.txt").write_text("words")
    return {"source": tmp_path / "in.txt"}, {"target": tmp_path / "deep" / "out.txt"}


def test_output_carries_its_provenance(config, paths) -> None:
    inputs, outputs = paths
    stage = make_stage("copy_upper", params={"filter_config": "vocab.filter"}, options={"option": Spec("x", "x")})
    run_stage(stage, config, inputs, outputs, options={"option": "x"})
    assert outputs["target"].read_text() == "WORDS 5 x"
    record = read_json(provenance_path(outputs["target"]))
    assert record["stage"] == "test"
    assert record["sha256"] == sha256_file(outputs["target"])
    assert record["inputs"] == {str(inputs["source"]): sha256_file(inputs["source"])}
    assert record["parameters"] == {"vocab.filter": {"top_k": 5, "min_count": 1}}
    assert record["wall_seconds"] >= 0
    assert record["peak_memory_bytes"] > 1 << 20
    assert record["code_version"].startswith("0.")


def join(sources: list[Path], target: Path, tokenizer_config, name: str) -> None:
    target.write_text("+".join(path.read_text() for path in sources) + f" {name} {tokenizer_config.kind}")


JOIN = {
    "inputs": {"sources": Spec("in_{}", "one a tokenizer", each="tokenizers")},
    "params": {"tokenizer_config": "tokenizers.{name}"},
    "options": {"name": Spec("v2l", "which")},
}


def test_option_chooses_a_section_and_several_inputs_are_recorded_each(config, tmp_path: Path) -> None:
    sources = [tmp_path / "a", tmp_path / "b"]
    for path in sources:
        path.write_text(path.name)
    target = tmp_path / "out"
    run_stage(make_stage("join", **JOIN), config, {"sources": sources}, {"target": target}, {"name": "vqgan"})
    assert target.read_text() == "a+b vqgan vqgan"
    record = read_json(provenance_path(target))
    assert list(record["inputs"]) == [str(path) for path in sources]
    assert record["options"] == {"name": "vqgan"}
    assert list(record["parameters"]) == ["tokenizers.vqgan"]


def test_option_that_names_no_section_is_refused(config, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with pytest.raises(ConfigError, match=r"tokenizers\.other: expected one of v2l, .*, found other"):
        run_stage(
            make_stage("join", **JOIN), config, {"sources": [tmp_path / "a"]}, {"target": tmp_path / "out"},
            {"name": "other"},
        )  # fmt: skip


def test_code_version_marks_changed_code_but_not_changed_results(tmp_path, monkeypatch) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    for name in ("src/code.py", "results/metrics.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("1")
    git("init")
    git("add", "-A")
    git("commit", "-m", "first")
    monkeypatch.setattr(runner_module, "FOLDER", tmp_path / "src")
    clean = code_version()
    (tmp_path / "results" / "metrics.json").write_text("2")
    assert code_version() == clean
    (tmp_path / "src" / "code.py").write_text("2")
    assert code_version() == f"{clean}-dirty"


def test_code_version_needs_no_git(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert code_version() == __version__


def test_output_can_be_read_by_whom_the_umask_allows(config, paths) -> None:
    inputs, outputs = paths
    run_stage(make_stage("write_for_owner_only"), config, inputs, outputs)
    (outputs["target"].parent / "plain").touch()
    assert outputs["target"].stat().st_mode == (outputs["target"].parent / "plain").stat().st_mode


def write_for_owner_only(source: Path, target: Path) -> None:
    target.write_text(source.read_text())
    target.chmod(0o600)


def test_failure_leaves_nothing_and_keeps_the_old_output(config, paths) -> None:
    inputs, outputs = paths
    stage = make_stage("write_then_fail")
    with pytest.raises(DataError):
        run_stage(stage, config, inputs, outputs)
    assert list(outputs["target"].parent.iterdir()) == []
    outputs["target"].write_text("old")
    with pytest.raises(DataError):
        run_stage(stage, config, inputs, outputs)
    assert outputs["target"].read_text() == "old"


def test_missing_input_is_named_before_any_work(config, paths) -> None:
    inputs, outputs = paths
    inputs["source"].unlink()
    with pytest.raises(ArtifactError, match=r"in\.txt: input of stage test not found"):
        run_stage(make_stage("copy_upper"), config, inputs, outputs)


def test_stage_that_forgets_an_output_is_a_defect(config, paths) -> None:
    inputs, outputs = paths
    stage = make_stage("forget")
    with pytest.raises(RuntimeError, match="did not write"):
        run_stage(stage, config, inputs, outputs)


def forget(source: Path, target: Path) -> None:
    pass


def write_folder(source: Path, target: Path) -> None:
    target.mkdir()
    (target / "copy.txt").write_text(source.read_text())


def test_folder_output_replaces_the_old_folder_whole(config, paths) -> None:
    inputs, outputs = paths
    outputs["target"].mkdir(parents=True)
    (outputs["target"] / "stale.txt").write_text("stale")
    run_stage(make_stage("write_folder"), config, inputs, outputs)
    assert [path.name for path in outputs["target"].iterdir()] == ["copy.txt"]


KILLED_STAGE = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from test_runner import make_stage
    from v2l.config.tree import load_config
    from v2l.runner import code_version, run_stage

    def die_half_way(source, target):
        target.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

    sys.modules["killed"] = sys.modules["__main__"]
    stage = make_stage("", target="killed:die_half_way")
    run_stage(stage, load_config(Path({config!r})), {{"source": Path({source!r})}}, {{"target": Path({target!r})}})
"""


def test_killed_stage_leaves_no_final_name_and_the_next_run_cleans_up(config, paths, repository: Path) -> None:
    inputs, outputs = paths
    script = textwrap.dedent(KILLED_STAGE).format(
        tests=str(Path(__file__).parent),
        config=str(repository / "config" / "smoke.yaml"),
        source=str(inputs["source"]),
        target=str(outputs["target"]),
    )
    killed = subprocess.run([sys.executable, "-c", script], env={**os.environ}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not outputs["target"].exists()
    assert [path.name for path in outputs["target"].parent.iterdir()] == [".partial-out.txt"]
    stage = make_stage("copy_upper", params={"filter_config": "vocab.filter"}, options={"option": Spec("x", "x")})
    run_stage(stage, config, inputs, outputs, options={"option": "x"})
    assert sorted(path.name for path in outputs["target"].parent.iterdir()) == ["out.txt", "out.txt.provenance.json"]


def fail_once(source: Path, target: Path, scratch: Path) -> None:
    checkpoint = scratch / "checkpoint"
    if not checkpoint.exists():
        checkpoint.write_text("half of " + source.read_text())
        raise DataError("stopped")
    target.write_text(checkpoint.read_text())


def test_scratch_survives_a_failure_belongs_to_its_inputs_and_goes_at_the_end(config, paths) -> None:
    inputs, outputs = paths
    stage = make_stage("fail_once", resumable=True)
    with pytest.raises(DataError):
        run_stage(stage, config, inputs, outputs)
    inputs["source"].write_text("other words")
    with pytest.raises(DataError):  # another input: the first checkpoint is not seen
        run_stage(stage, config, inputs, outputs)
    run_stage(stage, config, inputs, outputs)
    assert outputs["target"].read_text() == "half of other words"


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_function_takes_exactly_what_the_table_of_stages_says(stage: Stage) -> None:
    import importlib
    import inspect

    module, function = stage.target.split(":")
    signature = inspect.signature(getattr(importlib.import_module(module), function))
    expected = {*stage.inputs, *stage.outputs, *stage.options, *stage.params}
    expected |= {
        name
        for name, wanted in (
            ("seed", stage.seeded),
            ("runtime", stage.compute),
            ("scratch", stage.resumable),
            ("shard", stage.shards),
        )
        if wanted
    }
    assert set(signature.parameters) == expected
    optional = {name for name, spec in {**stage.inputs, **stage.outputs}.items() if spec.optional}
    assert {n for n, p in signature.parameters.items() if p.default is not inspect.Parameter.empty} <= {
        *optional,
        "shard",
    }
