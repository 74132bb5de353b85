"""The training loop of all kinds of tokenizers: losses, schedule, checkpoints (paper, section 4.1)."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.discriminator import PatchDiscriminator
from v2l.tokenizer.losses import GeneratorTerms, Terms, discriminator_loss, generator_loss
from v2l.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from v2l.training.curves import Curves
from v2l.training.pictures import TrainingPictures
from v2l.training.schedule import Schedule

logger = logging.getLogger(__name__)

BETAS, EPSILON = (0.5, 0.9), 1e-7
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Guides:
    """What a tokenizer sees of the training pictures besides pixels; None where its kind does without.

    image_features: unit CLIP features [N, d].   global_ids: [N, num_global] rows of ``global_codebook`` [G, g].
    """

    image_features: Tensor | None = None
    global_ids: Tensor | None = None
    global_codebook: Tensor | None = None

    def of(self, rows: np.ndarray, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """Global vectors [B, num_global, g] and image features [B, d] of the pictures in ``rows``."""
        vectors = None if self.global_ids is None else self.global_codebook[self.global_ids[rows]].to(device)
        return vectors, None if self.image_features is None else self.image_features[rows].to(device)


class Trainer:
    """Holds the networks and their optimisers and takes one step at a time."""

    def __init__(self, tokenizer: ImageTokenizer, lpips: Lpips, config: TrainConfig, runtime: Runtime) -> None:
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

    def step(
        self,
        pictures: Tensor,
        global_vectors: Tensor | None,
        step: int,
        learning_rate: float,
        image_features: Tensor | None = None,
    ) -> Terms:
        """One step of the generator and, from gan_start_step on, of the discriminator; returns the loss terms.

        pictures: [B, 3, H, W] float32 in [0, 1].   global_vectors: [B, num_global, g] float32, None without.
        image_features: unit CLIP features [B, d], for kinds that are guided by them.
        """
        for optimiser in (self.generator_optimiser, self.discriminator_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate
        adversarial = step >= self.config.gan_start_step
        pictures = pictures.to(self.runtime.device, memory_format=torch.channels_last)
        reconstruction, terms = self._generator_step(pictures, global_vectors, image_features, adversarial)
        if adversarial:
            terms["discriminator"] = self._discriminator_step(pictures, reconstruction)
        return terms

    def _generator_step(
        self, pictures: Tensor, global_vectors: Tensor | None, image_features: Tensor | None, adversarial: bool
    ) -> tuple[Tensor, Terms]:
        self.discriminator.requires_grad_(False)  # its gradients in this step would be thrown away
        with self._autocast():
            features = self.tokenizer.encode(pictures)
        # distances need fp32
        quantized = self.tokenizer.quantize(features, self.config.commitment_weight, image_features)
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
    guides: Guides,
    scratch: Path,
    tensorboard: Path,
) -> Curves:
    """Trains to the end, from the last checkpoint in ``scratch`` if there is one; the result is the same either way.

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
    with (
        SummaryWriter(tensorboard, purge_step=start) as writer,
        Progress("train", schedule.total_steps, "steps", done=start) as progress,
    ):
        for step in range(start, schedule.total_steps):
            batch, rows = pictures.batch(step, config.batch_size)
            vectors, image_features = guides.of(rows, trainer.runtime.device)
            rate = schedule.learning_rate(step)
            terms = trainer.step(to_tensor(batch), vectors, step, rate, image_features)
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
