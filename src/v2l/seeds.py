"""The one place where random numbers start.

A draw depends on the seed, the purpose and the item's id, never on the order of calls, so shards, resumed runs and
reordered loops draw the same numbers.
"""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose and item, e.g. ``derive_seed(0, "crop", epoch, image_id)``."""
    text = "\x1f".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose."""
    return np.random.default_rng(derive_seed(seed, *purpose))
