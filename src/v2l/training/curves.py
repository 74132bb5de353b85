"""The loss terms by step: kept for the curves artifact, shown in TensorBoard."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from v2l.artifacts import write_rows

COLUMNS = (
    "step",
    "epoch",
    "learning_rate",
    "total",
    "reconstruction",
    "perceptual",
    "quantizer",
    "codes_in_batch",
    "adversarial",
    "adaptive_weight",
    "discriminator",
)


class Curves:
    """A row of loss terms every so many steps; a term that does not exist yet (the GAN's) is empty."""

    def __init__(self, columns: Sequence[str] = COLUMNS) -> None:
        self._columns = columns
        self._rows: list[list[float]] = []

    def add(self, values: Mapping[str, float]) -> None:
        """Appends the values of one step, by the names of the columns."""
        self._rows.append([values.get(name, math.nan) for name in self._columns])

    def to_tensor(self) -> Tensor:
        """[rows, columns] float64."""
        return torch.tensor(self._rows, dtype=torch.float64).reshape(-1, len(self._columns))

    def load_tensor(self, values: Tensor) -> None:
        """The inverse of ``to_tensor``."""
        self._rows = values.tolist()

    def write(self, path: Path) -> None:
        """Writes the curves as a table."""
        write_rows(path, pd.DataFrame(self._rows, columns=list(self._columns)).astype({"step": "int64"}))
