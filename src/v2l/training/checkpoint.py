"""One file that a killed training run goes on from: weights, optimiser states and the curves so far, as safetensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from v2l.errors import ArtifactError
from v2l.models.weights import read_tensors
from v2l.training.curves import Curves


@dataclass(frozen=True)
class TrainingState:
    """All that changes while training: networks by name, the optimiser of each, and the curves."""

    networks: Mapping[str, nn.Module]
    optimisers: Mapping[str, Optimizer]
    curves: Curves


def _trained(network: nn.Module) -> dict[str, Tensor]:
    """A network's state without its frozen parameters."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in network.state_dict().items() if name not in frozen}


def save_checkpoint(path: Path, state: TrainingState, step: int) -> None:
    """Writes the state after ``step`` steps; the file under ``path`` is always a complete one."""
    tensors = {"step": torch.tensor(step), "curves": state.curves.to_tensor()}
    for name, network in state.networks.items():
        tensors |= {f"{name}.weight.{key}": tensor for key, tensor in _trained(network).items()}
    for name, optimiser in state.optimisers.items():
        for index, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.optimiser.{index}.{key}": tensor for key, tensor in moments.items()}
    aside = path.with_name(f".partial-{path.name}")
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, aside)
    aside.replace(path)


def load_checkpoint(path: Path, state: TrainingState) -> int:
    """Puts a checkpoint into the state, if there is one. Returns the number of steps done.

    Raises ArtifactError if the file is not readable or holds other networks, as after a change of code.
    """
    if not path.exists():
        return 0
    tensors, _ = read_tensors(path)
    weights = {
        f"{name}.weight.{key}": tensor
        for name, network in state.networks.items()
        for key, tensor in _trained(network).items()
    }
    for name, tensor in weights.items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            found = f"found {list(tensors[name].shape)}" if name in tensors else "not found"
            raise ArtifactError(
                f"{path}: {name}: expected shape {list(tensor.shape)}, {found}; it is of another version of the code, "
                "remove it to begin anew"
            )
    for name, tensor in weights.items():
        tensor.copy_(tensors[name])
    for name, optimiser in state.optimisers.items():
        _load_moments(
            optimiser, {key: tensor for key, tensor in tensors.items() if key.startswith(f"{name}.optimiser.")}
        )
    state.curves.load_tensor(tensors["curves"])
    return int(tensors["step"])


def _load_moments(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for name, tensor in tensors.items():
        _, _, index, key = name.split(".")
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:  # a moment: laid out in memory as its parameter is
            tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
        optimiser.state[parameter][key] = tensor
