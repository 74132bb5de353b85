"""The training loop of the tokenizer: losses, schedule, checkpoints (paper, section 4.1; PROTOCOL: tokenizer)."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.tensorboard import SummaryWriter

from v2l.config.train import TrainConfig
from v2l.data.images import to_tensor
from v2l.errors import ModelError
from v2l.models.perceptual import Lpips
from v2l.progress import Progress
from v2l.runtime import Runtime
from v2l.tokenizer.discriminator import PatchDiscriminator
from v2l.tokenizer.losses import GeneratorTerms, Terms, discriminator_loss, generator_loss
from v2l.tokenizer.model import LocalTokenizer
from v2l.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from v2l.training.curves import Curves
from v2l.training.pictures import TrainingPictures

logger = logging.getLogger(__name__)

BETAS, EPSILON = (0.5, 0.9), 1e-7
CHECKPOINT = "checkpoint.safetensors"


def learning_rate_factor(step: int, warmup_steps: float, total_steps: int) -> float:
    """Share of the peak rate at a step: linear warm-up, then half a cosine down to 0. Steps count from 0."""
    if step + 1 < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2


@dataclass(frozen=True)
class Schedule:
    """A training run in steps. num_pictures: pictures of one epoch."""

    config: TrainConfig
    num_pictures: int

    @property
    def steps_per_epoch(self) -> float:
        return self.num_pictures / self.config.batch_size

    @property
    def total_steps(self) -> int:
        return max(1, round(self.config.epochs * self.steps_per_epoch))

    def learning_rate(self, step: int) -> float:
        warmup_steps = self.config.warmup_epochs * self.steps_per_epoch
        return self.config.learning_rate * learning_rate_factor(step, warmup_steps, self.total_steps)


class Trainer:
    """Holds the networks and their optimisers and takes one step at a time."""

    def __init__(self, tokenizer: LocalTokenizer, lpips: Lpips, config: TrainConfig, runtime: Runtime) -> None:
        place = {"device": runtime.device, "memory_format": torch.channels_last}
        self.tokenizer = tokenizer.to(**place).train()
        self.discriminator = PatchDiscriminator(config.discriminator_channels, config.discriminator_layers).to(**place)
        self.lpips = lpips.to(**place)
        self.config = config
        self.runtime = runtime
        self.generator_optimiser = self._adam(tokenizer)
        self.discriminator_optimiser = self._adam(self.discriminator)

    def _adam(self, network: nn.Module) -> Adam:
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        return Adam(trained, lr=self.config.learning_rate, betas=BETAS, eps=EPSILON)

    def _autocast(self) -> torch.autocast:
        enabled = self.runtime.dtype == torch.bfloat16
        return torch.autocast(self.runtime.device.type, dtype=torch.bfloat16, enabled=enabled)

    def step(self, pictures: Tensor, global_vectors: Tensor | None, step: int, learning_rate: float) -> Terms:
        """One step of the generator and, from gan_start_step on, of the discriminator; returns the loss terms.

        pictures: [B, 3, H, W] float32 in [0, 1].   global_vectors: [B, num_global, g] float32, None without.
        """
        for optimiser in (self.generator_optimiser, self.discriminator_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate
        adversarial = step >= self.config.gan_start_step
        pictures = pictures.to(self.runtime.device, memory_format=torch.channels_last)
        reconstruction, terms = self._generator_step(pictures, global_vectors, adversarial)
        if adversarial:
            terms["discriminator"] = self._discriminator_step(pictures, reconstruction)
        return terms

    def _generator_step(
        self, pictures: Tensor, global_vectors: Tensor | None, adversarial: bool
    ) -> tuple[Tensor, Terms]:
        self.discriminator.requires_grad_(False)  # its gradients in this step would be thrown away
        with self._autocast():
            features = self.tokenizer.encode(pictures)
        quantized = self.tokenizer.quantize(features, self.config.commitment_weight)  # distances need fp32
        with self._autocast():
            reconstruction = self.tokenizer.decode(quantized.features, global_vectors)
            parts = GeneratorTerms(
                pictures,
                reconstruction,
                self.lpips(reconstruction, pictures).float(),
                quantized.loss,
                self.discriminator(reconstruction) if adversarial else None,
                self.tokenizer.decoder.conv_out.weight,
            )
        total, terms = generator_loss(parts, self.config)
        self.generator_optimiser.zero_grad()
        total.backward()
        self.discriminator.requires_grad_(True)
        self.generator_optimiser.step()
        terms["codes_in_batch"] = torch.tensor(quantized.ids.unique().numel())
        return reconstruction.detach(), terms

    def _discriminator_step(self, pictures: Tensor, reconstruction: Tensor) -> Tensor:
        with self._autocast():
            real_logits, fake_logits = self.discriminator(pictures), self.discriminator(reconstruction)
        loss = discriminator_loss(real_logits.float(), fake_logits.float())
        self.discriminator_optimiser.zero_grad()
        loss.backward()
        self.discriminator_optimiser.step()
        return loss.detach()


def fit(
    trainer: Trainer,
    pictures: TrainingPictures,
    global_ids: Tensor,
    global_codebook: Tensor,
    scratch: Path,
    tensorboard: Path,
) -> Curves:
    """Trains to the end, from the last checkpoint in ``scratch`` if there is one; the result is the same either way.

    global_ids: [num_pictures, num_global] rows of the global codebook [G, g].
    Raises ModelError if the loss is no longer a finite number.
    """
    config, curves = trainer.config, Curves()
    schedule = Schedule(config, len(pictures))
    state = TrainingState(
        {"tokenizer": trainer.tokenizer, "discriminator": trainer.discriminator},
        {"tokenizer": trainer.generator_optimiser, "discriminator": trainer.discriminator_optimiser},
        curves,
    )
    start = load_checkpoint(scratch / CHECKPOINT, state)
    if start:
        logger.info("train: goes on from step %d", start)
    global_codebook = global_codebook.to(trainer.runtime.device)
    with (
        SummaryWriter(tensorboard, purge_step=start) as writer,
        Progress("train", schedule.total_steps, "steps", done=start) as progress,
    ):
        for step in range(start, schedule.total_steps):
            batch, rows = pictures.batch(step, config.batch_size)
            vectors = global_codebook[global_ids[rows].to(global_codebook.device)] if global_ids.shape[1] else None
            rate = schedule.learning_rate(step)
            terms = trainer.step(to_tensor(batch), vectors, step, rate)
            if not math.isfinite(terms["total"]):
                raise ModelError(f"train: expected a finite loss, found {float(terms['total'])} at step {step}")
            if step % config.log_steps == 0 or step == schedule.total_steps - 1:
                values = {name: float(term) for name, term in terms.items()}
                curves.add({"step": step, "epoch": step / schedule.steps_per_epoch, "learning_rate": rate, **values})
                for name, value in values.items():
                    writer.add_scalar(f"train/{name}", value, step)
            if (step + 1) % config.checkpoint_steps == 0:
                save_checkpoint(scratch / CHECKPOINT, state, step + 1)
            progress.advance(
                1, f"loss {float(terms['total']):.3f}, reconstruction {float(terms['reconstruction']):.3f}"
            )
    return curves
