from pathlib import Path

import pytest
import torch

from v2l.config.runtime import RuntimeConfig
from v2l.config.tree import Config, load_config
from v2l.errors import ConfigError
from v2l.launch import plan_processes
from v2l.stages import STAGES

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def plan(repository: Path, monkeypatch: pytest.MonkeyPatch):
    """Nodes and processes of stage train with a batch of eight on a machine with some GPUs."""
    config = load_config(repository / "config" / "smoke.yaml")

    def plan_one(device: torch.device = CUDA, gpus: int = 1, batch_size: int = 8, **runtime: int) -> tuple[int, int]:
        monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
        changes = {
            "runtime": RuntimeConfig(**runtime),
            "train": config.train.model_copy(update={"batch_size": batch_size}),
        }
        return plan_processes(STAGES["train"], config.model_copy(update=changes), device)

    return plan_one


@pytest.mark.parametrize(
    ("gpus", "batch_size", "nodes", "expected"),
    [(1, 8, 1, 1), (4, 8, 1, 4), (3, 8, 1, 2), (8, 256, 4, 8), (8, 8, 2, 4), (8, 7, 1, 7)],
)
def test_every_visible_gpu_has_a_process_as_far_as_shares_are_equal(
    plan, gpus: int, batch_size: int, nodes: int, expected: int
) -> None:
    assert plan(CUDA, gpus, batch_size, nodes=nodes) == (nodes, expected)


def test_a_processor_or_a_gpu_with_a_number_has_one_process(plan) -> None:
    assert plan(CPU, gpus=4) == (1, 1)
    assert plan(torch.device("cuda", 1), gpus=4) == (1, 1)
    assert plan(CPU, processes=4) == (1, 4)


def test_shares_that_are_not_equal_are_refused(plan) -> None:
    message = r"^train.batch_size: expected a multiple of 6 \(runtime.processes x runtime.nodes\), found 8$"
    with pytest.raises(ConfigError, match=message):
        plan(CPU, processes=3, nodes=2)


def test_more_processes_than_gpus_are_refused(plan) -> None:
    with pytest.raises(ConfigError, match=r"^runtime\.processes: expected at most 2, the GPUs of cuda, found 4$"):
        plan(CUDA, gpus=2, processes=4)


def test_stages_without_a_batch_to_share_have_one_process(repository: Path) -> None:
    config: Config = load_config(repository / "config" / "smoke.yaml")
    config = config.model_copy(update={"runtime": RuntimeConfig(processes=2, nodes=2)})
    assert plan_processes(STAGES["reconstruct"], config, CPU) == (1, 1)
