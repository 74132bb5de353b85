"""Training by several processes on one machine, with gloo. Tolerances are those of float64: see ``in_double``."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from v2l.config.runtime import RuntimeConfig
from v2l.config.train import TrainConfig
from v2l.config.tree import Config, load_config
from v2l.errors import V2LError
from v2l.runner import run_stage

from .conftest import TRAIN
from .in_double import STAGE

# Sums of up to 10^5 terms in another order: 1e-14 of their size, a thousand times that after eight steps of Adam.
TOLERANCE = 1e-9

DECODED_AHEAD = {"picture_memory_gb": 0, "loader_workers": 1}  # they get torchrun's SIGTERM too

# Stands for two nodes by running two agents of torchrun here, both with the input that srun would give to all.
SRUN = """#!/bin/sh
printf '%s\\n' "$@" > "{folder}/srun_arguments"
while [ "$1" != "{python}" ]; do shift; done
exec 3<&0
"$@" <&3 & first=$!
"$@" <&3 & second=$!
wait $first && wait $second
"""


@pytest.fixture
def config(config_path: Path) -> Config:
    train = TrainConfig(**TRAIN | {"epochs": 32 / 7, "gan_start_step": 2, "checkpoint_steps": 100})
    return load_config(config_path).model_copy(update={"train": train})


@pytest.fixture
def run(inputs: dict[str, Path], config: Config, repository: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the stage into a folder; keywords are those of the section ``runtime``."""
    monkeypatch.setenv("PYTHONPATH", str(repository))  # where workers find the stage's function

    def run_one(folder: Path, grief: str = "none", **runtime: int) -> dict[str, torch.Tensor]:
        runtime_config = RuntimeConfig(device="cpu", **runtime)
        run_stage(
            STAGE, config.model_copy(update={"runtime": runtime_config}),
            {name: inputs[name] for name in ("networks", "manifest")}, {"weights": folder / "weights.safetensors"},
            {"grief": grief},
        )  # fmt: skip
        return load_file(folder / "weights.safetensors")

    return run_one


@pytest.fixture(scope="module")
def unbroken() -> dict[str, torch.Tensor]:
    """What one process comes to, filled by the first test that asks."""
    return {}


@pytest.fixture
def expected(run, unbroken: dict, tmp_path: Path) -> dict[str, torch.Tensor]:
    if not unbroken:
        unbroken |= run(tmp_path / "one_process")
    return unbroken


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=TOLERANCE, atol=TOLERANCE, msg=lambda text, n=name: n + text
        )


@pytest.mark.parametrize("size", [1, 3])
def test_micro_batches_change_nothing(run, expected: dict, tmp_path: Path, size: int) -> None:
    assert_close(run(tmp_path, train_micro_batch=size), expected)


def test_two_processes_equal_one_and_the_first_alone_writes(run, expected: dict, tmp_path: Path) -> None:
    assert_close(run(tmp_path, processes=2, train_micro_batch=1, **DECODED_AHEAD), expected)
    assert {path.name for path in tmp_path.iterdir()} >= {"weights.safetensors", "weights.safetensors.provenance.json"}
    assert not list(tmp_path.glob(".*"))
    assert len(list((tmp_path / "events").iterdir())) == 1


def test_run_that_was_told_to_stop_goes_on_to_the_same_end_on_two_nodes(
    run, expected: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grief = str(os.getpid())  # SIGTERM to the launcher
    with pytest.raises(V2LError, match=r"^train: stopped by SIGTERM at step 5; run again to go on$"):
        run(tmp_path, grief, processes=2, **DECODED_AHEAD)
    assert not (tmp_path / "weights.safetensors").exists()
    (checkpoint,) = tmp_path.glob(".scratch-double-*/checkpoint.safetensors")
    assert load_file(checkpoint)["step"] == 5

    (tmp_path / "bin").mkdir()
    write_srun(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert_close(run(tmp_path, grief, nodes=2, processes=1), expected)
    arguments = (tmp_path / "bin" / "srun_arguments").read_text().splitlines()
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--nnodes=2", "--nproc-per-node=1"} <= set(arguments)


def write_srun(folder: Path) -> None:
    (folder / "srun").write_text(SRUN.format(folder=folder, python=sys.executable))
    (folder / "srun").chmod(0o755)


def test_lost_process_ends_the_run_in_one_line_with_nothing_published(run, tmp_path: Path) -> None:
    with pytest.raises(V2LError, match=r"^double: a process ended before its time; .*stderr\.txt$"):
        run(tmp_path, "killed", processes=2)
    assert not list(tmp_path.glob("*.safetensors*"))
    assert not list(tmp_path.glob(".partial-*"))
    (last_words,) = tmp_path.glob(".scratch-double-*/stderr.txt")
    assert "exitcode: -9" in last_words.read_text()
