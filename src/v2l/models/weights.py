"""Reading weights: safetensors in, strictly into a module, with one clear line for what does not fit."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from v2l.errors import ArtifactError


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file (on the CPU) and its metadata.

    Raises ArtifactError if the file is missing or is not a readable safetensors file.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: file not found; run the stage that writes it")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a readable safetensors file ({error})") from error


def _list(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Puts tensors into a module that has exactly these names and shapes; parameters on the meta device are filled.

    Raises ArtifactError that names ``origin`` and the missing, unexpected or misshapen tensors.
    """
    wanted = module.state_dict()
    missing, unexpected = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    faults = [f"missing {_list(missing)}"] if missing else []
    faults += [f"unexpected {_list(unexpected)}"] if unexpected else []
    faults += [
        f"{name}: expected shape {list(wanted[name].shape)}, found {list(tensors[name].shape)}"
        for name in sorted(wanted.keys() & tensors.keys())
        if wanted[name].shape != tensors[name].shape
    ][:3]
    if faults:
        raise ArtifactError(f"{origin}: weights do not fit {type(module).__name__}: {'; '.join(faults)}")
    module.load_state_dict(tensors, assign=any(tensor.is_meta for tensor in wanted.values()))
