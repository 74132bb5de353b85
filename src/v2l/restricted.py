"""The one restricted unpickler. A pickle may run code when it is loaded; here it can only build values and arrays.

NumPy believes what a pickle says of a dtype, up to raw bytes being pointers to objects. So stand-ins take its place:
they make dtypes by their names, and leave arrays of those to NumPy.
"""

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

CORES = ("numpy.core.multiarray", "numpy._core.multiarray")  # written by NumPy 1, by NumPy 2
ONLY_AN_ARGUMENT = "numpy.ndarray"


class _Dtype:
    def __init__(self, name: str, *_: Any) -> None:
        self.found = np.dtype(str(name))

    def __setstate__(self, state: tuple) -> None:
        """Of the state only the byte order counts."""
        if state[1] in ("<", ">"):
            self.found = self.found.newbyteorder(state[1])


class _Array(np.ndarray):
    def __setstate__(self, state: tuple) -> None:
        version, shape, dtype, is_fortran, content = state
        if type(dtype) is not _Dtype:
            raise pickle.UnpicklingError(f"expected the dtype of an array, found {type(dtype).__name__}")
        super().__setstate__((version, shape, dtype.found, is_fortran, content))


def _empty(*_: Any) -> _Array:
    """An array that gets its state afterwards."""
    return _Array((0,))


def _scalar(dtype: _Dtype, content: bytes) -> Any:
    """A single value; NumPy refuses to make objects of bytes."""
    return np.frombuffer(content, dtype.found, count=1)[0]


NAMES: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): ONLY_AN_ARGUMENT,
    ("numpy", "dtype"): _Dtype,
    **{(core, "_reconstruct"): _empty for core in CORES},
    **{(core, "scalar"): _scalar for core in CORES},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}; only NumPy arrays are admitted") from None


def load_restricted(file: BinaryIO) -> Any:
    """Reads one pickle of plain values and NumPy arrays.

    Raises UnpicklingError if it asks for anything else, and anything at all for a hostile or damaged file.
    """
    return _Unpickler(file).load()
