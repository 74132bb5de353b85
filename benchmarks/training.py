"""Training of the V2L tokenizer: stored image features, block-wise search, against a plain fp32 step.

    python -m benchmarks.training [--items 16] [--profile]

The plain step recomputes the frozen image encoder and selects the global tokens, searches all positions x codes,
keeps every network in torch's own memory layout and every gradient. Both train with the discriminator from the same
weights on the same pictures; their losses are compared.
"""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from v2l.config.train import TrainConfig
from v2l.models.clip import ImageTrunk, OpenClip
from v2l.models.perceptual import Lpips
from v2l.runtime import Runtime
from v2l.tokenizer.discriminator import PatchDiscriminator
from v2l.tokenizer.losses import GeneratorTerms, discriminator_loss, generator_loss
from v2l.tokenizer.quantizers import nearest_rows, quantizer_loss, straight_through
from v2l.training.trainer import BETAS, EPSILON, Trainer

from .common.contest import Table, Way, compete, options, prepare
from .common.machine import flops_of
from .common.sizes import SIZES
from .common.stand_ins import random_clip, write_networks
from .common.tokenizers import (
    BEGIN_PICTURES,
    dense_nearest,
    random_pictures,
    random_sources,
    random_tokenizer,
    sized_config,
)

NETWORKS = Path("data/networks/manifest.json")
GPUS = 32  # that share the paper's batch
TOLERANCE = 0.01  # of a step's loss: rounding grows with the steps


@dataclass(frozen=True)
class Setup:
    """What both ways begin with. batches: pictures [B, 3, H, W] of each step.   seen: what the frozen encoder sees."""

    trainer: Trainer
    encode: Callable[[Tensor], Tensor]
    codebook: Tensor
    batches: Tensor
    seen: Tensor


def main() -> None:
    chosen = options(__doc__, items=16, plain_items=8)
    _, runtime = prepare(chosen)
    config, section = sized_config(chosen.size)
    with tempfile.TemporaryDirectory() as folder:
        setup = set_up(chosen.size, max(chosen.items, chosen.plain_items), runtime, Path(folder))
    count, batch = section.num_global, setup.batches.shape[1]
    with torch.no_grad():
        features = torch.cat([F.normalize(setup.encode(seen), dim=1) for seen in setup.seen])
    stored = setup.codebook[nearest_rows(features, setup.codebook, count)].unflatten(0, (-1, batch))

    def suite(steps: int) -> tuple[list[float], float]:
        trainer = copy.deepcopy(setup.trainer)

        def step(number: int) -> float:
            pictures, vectors = setup.batches[number], stored[number].to(runtime.device)
            terms = trainer.step(pictures, vectors, config.train.gan_start_step, config.train.learning_rate)
            return float(terms["total"])

        return [step(number) for number in range(steps)], steps * flops[suite.__name__]

    def plain(steps: int) -> tuple[list[float], float]:
        step = PlainStep(copy.deepcopy(setup.trainer), setup, config.train)
        losses = [step(setup.batches[number], setup.seen[number]) for number in range(steps)]
        return losses, steps * flops[plain.__name__]

    flops = {suite.__name__: 0, plain.__name__: 0}
    for way in (suite, plain):  # of a step
        flops[way.__name__] = flops_of(partial(way, 1))

    compete(
        chosen,
        runtime,
        Table(f"Training, batches of {batch}", "steps", partial(compare_losses, runtime.dtype)),
        Way("suite: stored features, block-wise search", suite, chosen.items),
        Way("plain fp32 step, encoder recomputed", plain, chosen.plain_items),
    )


def compare_losses(dtype: torch.dtype, ours: list[float], theirs: list[float]) -> str:
    """How far the losses of the steps that both ways took differ. dtype: that the suite's way works in.

    Raises ValueError where they differ by more than rounding explains: in bf16, which leads to other weights, of the
    first step.
    """
    differences = [abs(a / b - 1) for a, b in zip(ours, theirs, strict=False)]
    held = differences if dtype == torch.float32 else differences[:1]
    if max(held) > TOLERANCE:
        raise ValueError(f"losses differ by {max(held):.1%}: {ours}, {theirs}")
    count = len(differences)
    return (
        f"Losses of the first step differ by {differences[0]:.1e} of their size, of {count} steps by "
        f"{max(differences):.1e} at most, their means by {abs(sum(ours[:count]) / sum(theirs[:count]) - 1):.1e}."
    )


def set_up(size: str, steps: int, runtime: Runtime, folder: Path) -> Setup:
    """Networks, codebooks and pictures of a size."""
    config, section = sized_config(size)
    if size == "default":
        trunk, projection = ImageTrunk(NETWORKS, runtime), torch.randn(ImageTrunk.dim, 384)
        networks, batch, side = NETWORKS, config.train.batch_size, config.clip.trunk_size_px

        def encode(seen: Tensor) -> Tensor:
            return trunk.encode(seen) @ projection  # in place of the trained head
    else:
        clip = OpenClip(random_clip(config.clip, SIZES[size], folder), runtime)
        networks, batch = write_networks(folder), SIZES[size].batch or config.train.batch_size // GPUS
        side, encode = clip.size_px, clip.encode_image
    sources = random_sources(size)
    pictures = random_pictures(max(steps * batch, BEGIN_PICTURES), section.image_size_px)
    tokenizer = random_tokenizer(section, sources, pictures[:BEGIN_PICTURES])
    trainer = Trainer(tokenizer, Lpips(networks, config.train.perceptual_net), config.train, runtime)
    seen = random_pictures(steps * batch, side).unflatten(0, (steps, batch))
    return Setup(
        trainer, encode, sources["global_vectors"], pictures[: steps * batch].unflatten(0, (steps, batch)), seen
    )


class PlainStep:
    """A training step as one would write it down."""

    def __init__(self, trainer: Trainer, setup: Setup, config: TrainConfig) -> None:
        self.setup, self.config, self.device = setup, config, trainer.runtime.device
        plain_layout = {"memory_format": torch.contiguous_format}
        self.tokenizer = trainer.tokenizer.to(**plain_layout)
        self.discriminator: PatchDiscriminator = trainer.discriminator.to(**plain_layout)
        self.lpips = trainer.lpips.to(**plain_layout)
        trained = [each for each in self.tokenizer.parameters() if each.requires_grad]
        rates = {"lr": config.learning_rate, "betas": BETAS, "eps": EPSILON}
        self.optimiser = Adam(trained, **rates)
        self.discriminator_optimiser = Adam(self.discriminator.parameters(), **rates)

    def __call__(self, pictures: Tensor, seen: Tensor) -> float:
        """The generator's loss. pictures: [B, 3, H, W].   seen: the same for the frozen encoder."""
        tokenizer, pictures = self.tokenizer, pictures.to(self.device)
        features = F.normalize(self.setup.encode(seen), dim=1)
        nearest = torch.cdist(features, self.setup.codebook).topk(tokenizer.config.num_global, largest=False).indices
        vectors = self.setup.codebook[nearest].to(self.device)

        encoded = tokenizer.encode(pictures)
        ids = dense_nearest(tokenizer, encoded)
        codes = tokenizer.features_of(ids)
        reconstruction = tokenizer.decode(straight_through(encoded, codes), vectors)
        terms = GeneratorTerms(
            pictures,
            reconstruction,
            self.lpips(reconstruction, pictures),
            quantizer_loss(encoded, codes, self.config.commitment_weight),
            self.discriminator(reconstruction),
            tokenizer.decoder.conv_out.weight,
        )
        total, _ = generator_loss(terms, self.config)
        self.optimiser.zero_grad()
        total.backward()
        self.optimiser.step()

        judged = self.discriminator(pictures), self.discriminator(reconstruction.detach())
        self.discriminator_optimiser.zero_grad()
        discriminator_loss(*judged).backward()
        self.discriminator_optimiser.step()
        return float(total.detach())


if __name__ == "__main__":
    main()
