"""Restricted readers of the authors' released files: ``.npy`` arrays of Python objects and ``.pth`` files.

Both are pickles, which may run code when they are loaded. What is admitted here can only build texts, numbers, lists,
dictionaries and arrays.
"""

import argparse
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from v2l.errors import ArtifactError
from v2l.restricted import load_restricted


def read_object_array(path: Path) -> list[Any]:
    """The items of a one-dimensional ``.npy`` array of any kind: texts or dictionaries of texts in the release.

    Raises ArtifactError if the file is missing, is no such array, or asks for anything that could run code.
    """
    _require(path)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header.get(version, read_header[2, 0])(file)
            if dtype.hasobject:
                array = load_restricted(file)
            else:
                file.seek(0)
                array = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # a hostile or damaged file can raise anything
        raise ArtifactError(f"{path}: refused ({_line(error)})") from None
    if not isinstance(array, np.ndarray) or array.shape != shape or array.ndim != 1:
        found = list(array.shape) if isinstance(array, np.ndarray) else type(array).__name__
        raise ArtifactError(f"{path}: expected a one-dimensional array, found {found}")
    return array.tolist()


def read_tensor(path: Path) -> Tensor:
    """The one matrix of a ``.pth`` file, float32 on the CPU. Raises ArtifactError."""
    value = _load(path)
    if not isinstance(value, Tensor) or value.ndim != 2 or not value.is_floating_point():
        found = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ArtifactError(f"{path}: expected a matrix of floats, found {found}")
    return value.detach().float().contiguous()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The model's tensors of a training checkpoint: under ``model`` or ``state_dict``, or the whole file.

    Optimiser states and arguments beside them are left out. Raises ArtifactError.
    """
    value = _load(path)
    if isinstance(value, dict):
        value = next((value[name] for name in ("model", "state_dict") if isinstance(value.get(name), dict)), value)
    if not isinstance(value, dict) or not value or not all(isinstance(tensor, Tensor) for tensor in value.values()):
        raise ArtifactError(f"{path}: expected tensors by name under 'model' or 'state_dict', found none")
    return {str(name).removeprefix("module."): tensor.detach() for name, tensor in value.items()}


def _load(path: Path) -> Any:
    _require(path)
    try:
        # the release stores its arguments beside the tensors; a namespace holds values and runs nothing
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what cannot be read raises
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile or damaged file can raise anything
        asked = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
        reason = f"it asks for {asked[1]}; only tensors are admitted" if asked else _line(error)
        raise ArtifactError(f"{path}: refused ({reason})") from None


def _line(error: Exception) -> str:
    """The first sentence of an error, on one line."""
    return " ".join(str(error).split()).split(". ", 1)[0] or type(error).__name__


def _require(path: Path) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path}: file not found")
