"""A stage that trains in float64, where rounding cannot hide a difference, and whose processes may come to grief."""

import os
import signal
import time
from pathlib import Path
from unittest.mock import patch

import torch
from safetensors.torch import save_file

from v2l.config.tokenizer import V2LConfig
from v2l.config.train import TrainConfig
from v2l.data.images import to_tensor
from v2l.graph.spec import Spec, Stage
from v2l.models.perceptual import Lpips
from v2l.runtime import Runtime
from v2l.tokenizer.base import Sources
from v2l.training.loop import Guides, fit
from v2l.training.pictures import read_training_pictures
from v2l.training.train import make_trainer
from v2l.training.trainer import Trainer

from .conftest import DIM, NUM_TOKENS, TOKENIZERS

STAGE = Stage(
    "double", "test", f"{__name__}:train_in_double", "a test",
    inputs={"networks": Spec("in", "in"), "manifest": Spec("in", "in")}, outputs={"weights": Spec("out", "out")},
    params={"config": "train"},
    options={"grief": Spec("grief", "none, or what happens in the last process at step 4")},
    seeded=True, resumable=True, shared_batch="train.batch_size",
)  # fmt: skip


def train_in_double(
    networks: Path,
    manifest: Path,
    weights: Path,
    config: TrainConfig,
    grief: str,
    seed: int,
    runtime: Runtime,
    scratch: Path,
) -> None:
    """Writes the weights of tokenizer and discriminator, and the curves, after eight steps on seven pictures."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"embeddings": (NUM_TOKENS, DIM), "global_vectors": (3, DIM)}
    sources = Sources({name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()})
    paths = [f"pictures/{index}.png" for index in range(7)]
    pictures = read_training_pictures(manifest, paths, list("abcdefg"), 32, seed, runtime.picture_memory_gb)
    tokenizer_config = V2LConfig(**TOKENIZERS["v2l"])
    trainer = make_trainer(sources, pictures, Lpips(networks, "alex"), config, tokenizer_config, seed, runtime)
    for network in (trainer.tokenizer, trainer.discriminator, trainer.lpips):
        network.double()
    features = torch.randn(7, DIM, generator=generator).double()
    guides = Guides(features, torch.arange(14).reshape(7, 2) % 3, sources["global_vectors"].double())
    step = Trainer.step

    def grievous(self: Trainer, images: torch.Tensor, vectors: torch.Tensor, number: int, *others: object):
        if number == 4 and self.processes.rank == self.processes.count - 1:
            come_to(grief)
        return step(self, images, vectors, number, *others)

    with (
        patch("v2l.training.loop.to_tensor", lambda batch: to_tensor(batch).double()),
        patch.object(Trainer, "step", grievous),
    ):
        curves = fit(trainer, pictures, guides, scratch, weights.parent / "events")
    if trainer.processes.first:
        networks_by_name = torch.nn.ModuleDict({"tokenizer": trainer.tokenizer, "discriminator": trainer.discriminator})
        tensors = {name: tensor.contiguous() for name, tensor in networks_by_name.state_dict().items()}
        save_file(tensors | {"curves": curves.to_tensor().nan_to_num()}, weights)


def come_to(grief: str) -> None:
    """Ends this process at once, or has the process of a given id told to stop."""
    if grief == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if grief != "none":
        os.kill(int(grief), signal.SIGTERM)
        request, deadline = signal.getsignal(signal.SIGTERM).__self__, time.monotonic() + 60
        while not request.made:  # until it has been passed on
            assert time.monotonic() < deadline
            time.sleep(0.01)
