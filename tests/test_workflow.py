import subprocess
import sys
import time
from pathlib import Path

import pytest

from v2l.config.tree import load_config
from v2l.errors import V2LError
from v2l.stages import STAGES
from v2l.workflow import (
    asset_files,
    code_files,
    command,
    hold_lock,
    listed_episodes,
    llm_files,
    merge_command,
    read_by,
    shard_option,
)

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


def test_lists_of_episodes_are_files_of_the_graph(repository: Path) -> None:
    config = load_config(repository / "config" / "smoke.yaml")
    assert listed_episodes(config) == []
    listed = {"release": [Path("lists/2_way_1_shot.csv"), Path("lists/5_way_1_shot.csv")]}
    listing = config.model_copy(update={"episodes": config.episodes.model_copy(update=listed)})
    assert listed_episodes(listing) == ["lists/2_way_1_shot.csv", "lists/5_way_1_shot.csv"]


def test_command_has_the_stages_names_for_what_the_rule_has() -> None:
    assert command("train") == (
        "v2l train --config {CONFIG} --name {wildcards.name} --manifest {input.manifest} --networks {input.networks}"
        " --features {input.features} --embeddings {input.embeddings} --global-vectors {input.global_vectors}"
        " --llm-embeddings {input.llm_embeddings} --tokenizer {output.tokenizer} --curves {output.curves} --log {log}"
    )
    for name, needs in {"caption": True, "episodes": True, "claims": False, "train": False}.items():
        assert ("--needs {input.needs}" in command(name)) == needs
    assert command("caption").endswith("--predictions {output.predictions} {params.shard} --log {log}")
    assert "--folder {params.folder}" in command("tables")


def test_parts_are_named_and_put_together_in_the_stages_order() -> None:
    assert shard_option({"scatteritem": "3-of-7", "name": "v2l"}) == "--shard 3-of-7"
    assert merge_command("restore") == "v2l merge restore --parts {input.parts} --into {output} --log {log}"


def test_training_reads_what_its_kind_of_tokenizer_does(repository: Path) -> None:
    config = load_config(repository / "config" / "smoke.yaml")
    files = {"features": "f", "embeddings": "e", "global_vectors": "g", "llm_embeddings": "l"}
    assert read_by(config, "lqae", files) == {
        "features": [], "embeddings": [], "global_vectors": [], "llm_embeddings": "l",
    }  # fmt: skip
    assert not any(read_by(config, "vqgan", files).values())


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if stage.resumable])
def test_stage_that_takes_sigterm_stands_in_its_shells_place(name: str, repository: Path) -> None:
    rules = "".join(path.read_text() for path in (repository / "workflow" / "rules").glob("*.smk"))
    assert f'"exec " + suite.command("{name}")' in rules
