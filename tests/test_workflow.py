import subprocess
import sys
import time
from pathlib import Path

import pytest

from v2l.config.tree import load_config
from v2l.errors import V2LError
from v2l.workflow import asset_files, code_files, hold_lock, llm_files, option

HOLD = """
import sys, time
from pathlib import Path
from v2l.workflow import hold_lock
hold_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_lock_keeps_others_out_and_ends_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(V2LError, match=r"lock: another run is under way in this folder"):
        hold_lock(lock)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    deadline = time.monotonic() + 10
    while True:
        try:
            hold_lock(lock)
            break
        except V2LError:
            assert time.monotonic() < deadline


def test_code_files_are_relative_to_the_checkout(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(repository)
    assert "src/v2l/vocab/expand.py" in code_files("expand")
    monkeypatch.chdir(tmp_path)
    assert str(repository / "src/v2l/vocab/expand.py") in code_files("expand")


def test_manifest_is_the_first_file_of_an_asset() -> None:
    first, *others = asset_files("networks")
    assert first == "data/networks/manifest.json"
    assert "data/networks/vgg16.safetensors" in others


def test_model_from_elsewhere_has_no_embedded_files(repository: Path) -> None:
    config = load_config(repository / "config" / "smoke.yaml")
    assert llm_files(config) == asset_files("llm")
    elsewhere = config.model_copy(update={"llm": config.llm.model_copy(update={"source": "a/hub-name"})})
    assert llm_files(elsewhere) == []


def test_option_names_the_first_file_or_is_empty() -> None:
    assert option("clip", "a.json") == "--clip a.json"
    assert option("text-encoder", ["a/manifest.json", "a/model"]) == "--text-encoder a/manifest.json"
    assert option("clip", []) == ""
