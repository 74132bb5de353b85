"""A small replica of what the authors released, in the formats of their scripts.

Texts are embedded as they are by the release: equal texts get equal vectors, in half precision.
"""

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from v2l.config.tokenizer import V2LConfig

from .conftest import Model, make_checkpoint

MODEL = Model(local_vocab=40, global_vocab=25)
CONFIG = V2LConfig(
    image_size_px=16,
    base_channels=32,
    channel_multipliers=[1, 1, 2],
    num_res_blocks=1,
    z_channels=16,
    code_dim=24,
    num_global=5,
)
# A decoded id may be empty, or end in NUL, which NumPy does not store; two ids may decode to one text.
TOKENS = ["", "\0", "cat", "fish", "ing", "cat", "é", "\n", *(f"{letter}o" for letter in "abcdefghijklmnop")]
TOKENS += [f"{letter}u" for letter in "abcdefghijklmnop"]
CELLS = [
    {"1": token, "2": TOKENS[(7 * place + 3) % 40], "3": TOKENS[(11 * place + 4) % 40]}
    for place, token in enumerate(TOKENS)
]
TEXTS = [
    "".join(cell[str(place)] for place in range(1, order + 1)) for order in (1, 2, 3) for cell in CELLS
]  # fmt: skip
KEPT = [2, 3, 5, 9, 17, *range(40, 50), 79, *range(85, 94)]  # candidates that the filter kept


def embed(text: str) -> torch.Tensor:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    return (torch.randn(20, generator=torch.Generator().manual_seed(seed)) / 5).half()


def embed_all(texts: list[str]) -> torch.Tensor:
    return torch.stack([embed(text) for text in texts])


def checkpoint_tensors() -> dict[str, torch.Tensor]:
    codebooks = {
        "tok_embeddings.weight": embed_all(TOKENS).float(),
        "tok_embeddings_global.weight": embed_all([TEXTS[number] for number in KEPT]).float(),
    }
    return make_checkpoint(MODEL) | codebooks


def write_replica(folder: Path, with_candidates: bool = True, swapped_names: bool = False) -> dict[str, Path]:
    """The files, by the names of the import's inputs. swapped_names: those that the filtering script writes."""
    files = {
        "local_vocabulary": folder / "codebooks/local_vocabulary.npy",
        "local_embedding": folder / "codebooks/local_codebook_embedding.pth",
        "global_vocabulary": folder / f"codebooks/global_{'embedding' if swapped_names else 'vocabulary'}.npy",
        "global_embedding": folder / f"codebooks/global_{'vocabulary' if swapped_names else 'codebook_embedding'}.pth",
        "checkpoint": folder / "checkpoints/v2l-decode.pth",
    }
    if with_candidates:
        files["candidate_vocabulary"] = folder / "Subword_Bigram_Trigram_Vocabulary.npy"
        files["candidate_embedding"] = folder / "Subword_Bigram_Trigram_Embedding.pth"
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    if with_candidates:
        np.save(files["candidate_vocabulary"], CELLS)
        torch.save(embed_all(TEXTS), files["candidate_embedding"])
    kept = [TEXTS[number] for number in KEPT]
    np.save(files["local_vocabulary"], TOKENS)
    torch.save(embed_all(TOKENS), files["local_embedding"])
    np.save(files["global_vocabulary"], np.array(kept, dtype=object))
    torch.save(embed_all(kept).float(), files["global_embedding"])
    beside = {"opt_ae": {"state": {}}, "epoch": 99, "args": argparse.Namespace(lr=4.5e-4)}
    state = {f"module.{name}": tensor for name, tensor in checkpoint_tensors().items()}
    torch.save({"model": state, **beside}, files["checkpoint"])
    return files


def edit_tensors(path: Path, change: Callable[[dict], object]) -> None:
    """Changes the model's tensors of the replica's checkpoint in place."""
    content = {"model": torch.load(path, weights_only=False)["model"]}
    change(content["model"])
    torch.save(content, path)
