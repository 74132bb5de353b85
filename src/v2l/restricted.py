"""The one restricted unpickler. A pickle may run code when it is loaded; here it can only build values and arrays."""

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

Names = Mapping[tuple[str, str], Any]

CORES = ("numpy.core.multiarray", "numpy._core.multiarray")  # written by NumPy 1, by NumPy 2
ARRAYS: Names = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(core, "_reconstruct"): np.empty(0).__reduce__()[0] for core in CORES},
}
SCALARS: Names = {(core, "scalar"): np.float64(0).__reduce__()[0] for core in CORES}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, names: Names) -> None:
        super().__init__(file)
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._names[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}; only NumPy arrays are admitted") from None


def load_restricted(file: BinaryIO, names: Names = ARRAYS) -> Any:
    """Reads one pickle that may ask for these names alone.

    Raises UnpicklingError for another name, and anything at all for a hostile or damaged file.
    """
    return _Unpickler(file, names).load()
