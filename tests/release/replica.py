"""Small replicas of what the authors released, in the formats of their scripts.

Texts are embedded as they are by the release: equal texts get equal vectors, in half precision.
"""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from v2l.config.tokenizer import V2LConfig

from .conftest import Model, make_checkpoint

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
KEPT = [2, 3, 5, 9, 17, *range(40, 50), 79, *range(85, 94)]


def embed(text: str) -> torch.Tensor:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    return (torch.randn(20, generator=torch.Generator().manual_seed(seed)) / 5).half()


def embed_all(texts: Sequence[str]) -> torch.Tensor:
    return torch.stack([embed(text) for text in texts])


@dataclass(frozen=True)
class Replica:
    """tokens: texts by id. kept: the candidates that the filter kept. model: with networks of which sizes."""

    tokens: Sequence[str]
    kept: Sequence[int]
    model: Model

    @cached_property
    def cells(self) -> list[dict[str, str]]:
        """For every token its text and those of the second and third one."""
        tokens, count = self.tokens, len(self.tokens)
        return [
            {"1": token, "2": tokens[(7 * place + 3) % count], "3": tokens[(11 * place + 4) % count]}
            for place, token in enumerate(tokens)
        ]

    @cached_property
    def texts(self) -> list[str]:
        """Of all candidates."""
        orders = (1, 2, 3)
        return ["".join(cell[str(place)] for place in orders[:order]) for order in orders for cell in self.cells]

    @cached_property
    def kept_texts(self) -> list[str]:
        return [self.texts[number] for number in self.kept]

    def checkpoint_tensors(self) -> dict[str, torch.Tensor]:
        codebooks = {
            "tok_embeddings.weight": embed_all(self.tokens).float(),
            "tok_embeddings_global.weight": embed_all(self.kept_texts).float(),
        }
        return make_checkpoint(self.model) | codebooks

    def write(self, folder: Path, with_candidates: bool = True, swapped_names: bool = False) -> dict[str, Path]:
        """The files, by the names of the import's inputs. swapped_names: those that the filtering script writes."""
        vocabulary, vectors = ("embedding", "vocabulary") if swapped_names else ("vocabulary", "codebook_embedding")
        files = {
            "local_vocabulary": folder / "codebooks/local_vocabulary.npy",
            "local_embedding": folder / "codebooks/local_codebook_embedding.pth",
            "global_vocabulary": folder / f"codebooks/global_{vocabulary}.npy",
            "global_embedding": folder / f"codebooks/global_{vectors}.pth",
            "checkpoint": folder / "checkpoints/v2l-decode.pth",
        }
        if with_candidates:
            files["candidate_vocabulary"] = folder / "Subword_Bigram_Trigram_Vocabulary.npy"
            files["candidate_embedding"] = folder / "Subword_Bigram_Trigram_Embedding.pth"
        for path in files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        if with_candidates:
            np.save(files["candidate_vocabulary"], self.cells)
            torch.save(embed_all(self.texts), files["candidate_embedding"])
        np.save(files["local_vocabulary"], self.tokens)
        torch.save(embed_all(self.tokens), files["local_embedding"])
        np.save(files["global_vocabulary"], np.array(self.kept_texts, dtype=object))
        torch.save(embed_all(self.kept_texts).float(), files["global_embedding"])
        beside = {"opt_ae": {"state": {}}, "epoch": 99, "args": argparse.Namespace(lr=4.5e-4)}
        state = {f"module.{name}": tensor for name, tensor in self.checkpoint_tensors().items()}
        torch.save({"model": state, **beside}, files["checkpoint"])
        return files


SMALL = Replica(TOKENS, KEPT, Model(local_vocab=len(TOKENS), global_vocab=len(KEPT)))


def edit_tensors(path: Path, change: Callable[[dict], object]) -> None:
    """Changes the model's tensors of the replica's checkpoint in place."""
    content = {"model": torch.load(path, weights_only=False)["model"]}
    change(content["model"])
    torch.save(content, path)
