"""Small pictures in a folder, with the manifest that lists them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from v2l.artifacts import write_rows


def blotches(generator: np.random.Generator, count: int) -> list[Image.Image]:
    """Pictures of 48 x 48 pixels with something to see at any resolution."""
    return [
        Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((48, 48)) for _ in range(count)
    ]


def write_manifest(folder: Path, pictures: Sequence[Image.Image]) -> pd.DataFrame:
    """Saves them beside ``manifest.parquet``: ``set/0`` for training, ``set/1`` held out, and so on in turn."""
    for index, picture in enumerate(pictures):
        picture.save(folder / f"{index}.png")
    numbers = range(len(pictures))
    manifest = pd.DataFrame(
        {
            "image_id": [f"set/{i}" for i in numbers],
            "path": [f"{i}.png" for i in numbers],
            "split": [("train", "heldout")[i % 2] for i in numbers],
            "class_id": numbers,
            "class_name": [f"name {i}" for i in numbers],
            "captions": [["x"] for _ in numbers],
            **dict.fromkeys(("source", "family", "group", "subgroup", "sha256"), "x"),
        }
    )
    write_rows(folder / "manifest.parquet", manifest)
    return manifest
