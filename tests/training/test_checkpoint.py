from pathlib import Path

import pytest
import torch
from torch import nn

from v2l.errors import ArtifactError
from v2l.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from v2l.training.curves import Curves


def make_state(seed: int) -> TrainingState:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)).to(
        memory_format=torch.channels_last
    )
    network[2].bias.requires_grad_(False)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return TrainingState({"net": network}, {"net": torch.optim.Adam(trained, lr=0.1)}, Curves())


def take_steps(state: TrainingState, first: int, last: int) -> None:
    network, optimiser = state.networks["net"], state.optimisers["net"]
    for step in range(first, last):
        loss = network(torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(step))).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        state.curves.add({"step": step, "total": float(loss.detach())})


def test_steps_after_loading_equal_steps_without_a_break(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    unbroken = make_state(0)
    take_steps(unbroken, 0, 7)
    first = make_state(0)
    take_steps(first, 0, 4)
    save_checkpoint(path, first, 4)
    second = make_state(1)  # other weights, all of which the checkpoint must replace, but for the frozen bias
    second.networks["net"][2].bias.copy_(first.networks["net"][2].bias)
    assert load_checkpoint(path, second) == 4
    take_steps(second, 4, 7)
    expected = unbroken.networks["net"].state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in second.networks["net"].state_dict().items())
    assert torch.equal(second.curves.to_tensor().nan_to_num(), unbroken.curves.to_tensor().nan_to_num())


def test_frozen_parameters_are_not_stored_and_moments_keep_the_memory_layout(tmp_path: Path) -> None:
    state = make_state(0)
    take_steps(state, 0, 1)
    save_checkpoint(tmp_path / "c.safetensors", state, 1)
    other = make_state(1)
    bias = other.networks["net"][2].bias.clone()
    load_checkpoint(tmp_path / "c.safetensors", other)
    assert torch.equal(other.networks["net"][2].bias, bias)
    weight = other.networks["net"][0].weight
    assert other.optimisers["net"].state[weight]["exp_avg"].stride() == weight.stride()


def test_no_checkpoint_means_step_0(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent.safetensors", make_state(0)) == 0


def test_failed_writing_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, make_state(0), 3)

    def break_off(_: dict, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("v2l.training.checkpoint.save_file", break_off)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, make_state(0), 5)
    assert load_checkpoint(path, make_state(1)) == 3


def test_unreadable_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors").write_bytes(b"half")
    with pytest.raises(ArtifactError, match=r"c\.safetensors: not a readable safetensors file"):
        load_checkpoint(tmp_path / "c.safetensors", make_state(0))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 5, 3)),
            r"net\.weight\.0\.weight: expected shape \[5, 3, 3, 3\], found .*",
        ),
        (nn.ModuleDict({"head": nn.Linear(2, 2)}), r"net\.weight\.head\.weight: expected shape \[2, 2\], not found"),
    ],
)
def test_checkpoint_of_another_network_is_refused_and_changes_nothing(
    tmp_path: Path, network: nn.Module, message: str
) -> None:
    save_checkpoint(tmp_path / "c.safetensors", make_state(0), 3)
    before = [parameter.clone() for parameter in network.parameters()]
    state = TrainingState({"net": network}, {}, Curves())
    with pytest.raises(ArtifactError, match=rf"c\.safetensors: {message}; it is of another version of the code"):
        load_checkpoint(tmp_path / "c.safetensors", state)
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))
