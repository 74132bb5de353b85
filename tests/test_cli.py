import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from v2l.cli import build_parser, main
from v2l.shards import Shard
from v2l.stages import STAGES


def test_help_does_not_import_torch() -> None:
    code = "import sys; from v2l.cli import build_parser; build_parser().format_help(); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.parametrize("stage", [*STAGES, "tokenize", "summary", "trace", "merge", "check-parity"])
def test_help_of_a_command_shows_an_example_that_parses(stage: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([stage, "--help"])
    assert leaving.value.code == 0
    example = shlex.split(capsys.readouterr().out.split("example:\n")[1].replace("\\\n", " "))
    assert example[:2] == ["v2l", stage]
    build_parser().parse_args(example[1:])


def test_bad_configuration_is_one_line_and_status_1(tmp_path: Path, repository: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text((repository / "config" / "smoke.yaml").read_text() + "\ncolour: blue\n")
    done = subprocess.run(
        [sys.executable, "-m", "v2l.cli", "episodes", "--config", bad, "--manifest", "m", "--episodes", tmp_path / "e"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"error: {bad}: colour: unknown key\n")
    assert not (tmp_path / "e").exists()


def test_missing_input_is_one_line_and_status_1(tmp_path: Path, repository: Path, caplog) -> None:
    config = str(repository / "config" / "smoke.yaml")
    absent = str(tmp_path / "none.parquet")
    assert main(["episodes", "--config", config, "--manifest", absent, "--episodes", str(tmp_path / "e")]) == 1
    assert caplog.messages == [f"error: {absent}: input of stage episodes not found"]


def test_log_file_holds_what_is_printed(tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, "-m", "v2l.cli", "episodes", "--config", repository / "config" / "smoke.yaml"]
    command += ["--manifest", "none", "--episodes", tmp_path / "e", "--log", tmp_path / "deep" / "episodes.log"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (tmp_path / "deep" / "episodes.log").read_text() == done.stderr != ""


@pytest.fixture
def classify_command(repository: Path, tmp_path: Path) -> list[str]:
    files = [word for name in ("episodes", "words", "predictions") for word in (f"--{name}", str(tmp_path / name))]
    return ["classify", "--config", str(repository / "config" / "smoke.yaml"), "--run", "v2l", *files]


def test_a_part_of_a_stage_is_handled_where_it_is_named(classify_command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("v2l.runner.run_stage", lambda *_, **more: asked.append(more))
    for words in ([], ["--shard", "3-of-7"]):
        assert main([*classify_command, *words]) == 0
    assert asked == [{}, {"shard": Shard(3, 7)}]


def test_a_part_that_cannot_be_is_one_line_and_status_1(classify_command, caplog: pytest.LogCaptureFixture) -> None:
    assert main([*classify_command, "--shard", "8-of-7"]) == 1
    assert caplog.messages == ["error: --shard: expected a part like 3-of-7, found '8-of-7'"]


def test_stages_without_parts_take_none(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["episodes", "--config", "c", "--manifest", "m", "--episodes", "e", "--shard", "1-of-2"])
    with pytest.raises(SystemExit):
        main(["merge", "episodes", "--parts", "a", "--into", "b"])
    assert "invalid choice: 'episodes'" in capsys.readouterr().err


def test_parts_that_are_not_there_are_one_line_and_status_1(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    part, output = tmp_path / "1-of-1.parquet", tmp_path / "all.parquet"
    assert main(["merge", "caption", "--parts", str(part), "--into", str(output)]) == 1
    assert caplog.messages == [
        f"error: {part}: expected its provenance beside it, {part.name}.provenance.json, found none"
    ]
    assert not list(tmp_path.iterdir())
