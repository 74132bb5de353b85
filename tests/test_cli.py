import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from v2l.cli import build_parser, main
from v2l.stages import STAGES


def test_help_does_not_import_torch() -> None:
    code = "import sys; from v2l.cli import build_parser; build_parser().format_help(); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.parametrize("stage", [*STAGES, "tokenize", "summary", "trace", "check-parity"])
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
