"""Classes of a few pictures each, and episodes drawn from them."""

import pandas as pd

from v2l.config.data import EpisodesConfig
from v2l.data.manifest import COLUMNS as MANIFEST_COLUMNS

SOURCES = ("a", "b", "c", "d", "e")


def manifest(names: list[str], num_train: int = 4) -> pd.DataFrame:
    """Each class has ``num_train`` training pictures and one held-out picture."""
    return pd.DataFrame(
        {
            **dict.fromkeys(MANIFEST_COLUMNS, ""),
            "image_id": f"{source}/{name}",
            "split": "train" if i < num_train else "heldout",
            "class_name": name,
        }
        for name in names
        for i, source in enumerate(SOURCES[: num_train + 1])
    )


NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "polar bear"]


def config(**changes) -> EpisodesConfig:
    return EpisodesConfig(**{"ways": {2: 20, 5: 20}, "shots": 3, **changes})
