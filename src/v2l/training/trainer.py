"""One training step of any kind of tokenizer: of the generator, then of the discriminator (paper, section 3.3).

Processes and micro batches share out a batch and change the result by rounding alone: gradients are means over the
whole batch, the discriminator's BatchNorm and the adaptive weight see all of it. That takes gradients of parts of the
step, at the last layer and at the pictures, which torch's DistributedDataParallel does not average; hence plain
all-reduces, of all gradients at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import Adam

from v2l.config.train import TrainConfig
from v2l.models.perceptual import Lpips
from v2l.runtime import Runtime
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.discriminator import PatchDiscriminator
from v2l.tokenizer.losses import (
    GeneratorTerms,
    Terms,
    adversarial_loss,
    discriminator_loss,
    generator_loss,
    gradient_ratio,
)
from v2l.training.processes import ALONE, Processes, share_batch_norms

BETAS, EPSILON = (0.5, 0.9), 1e-7


@dataclass(frozen=True)
class Batch:
    """Pictures [B, 3, H, W] float32 in [0, 1], and what a kind sees besides: global vectors [B, num_global, g],
    unit CLIP features [B, d]."""

    pictures: Tensor
    global_vectors: Tensor | None
    image_features: Tensor | None

    def micro_batches(self, size: int | None) -> list["Batch"]:
        """Parts of ``size`` pictures, the last one maybe smaller; None: one part."""
        size = size or len(self.pictures)
        parts = (slice(start, start + size) for start in range(0, len(self.pictures), size))
        return [Batch(*(None if each is None else each[part] for each in vars(self).values())) for part in parts]


class Trainer:
    """Holds the networks and their optimisers and takes one step at a time."""

    def __init__(
        self,
        tokenizer: ImageTokenizer,
        lpips: Lpips,
        config: TrainConfig,
        runtime: Runtime,
        processes: Processes = ALONE,
    ) -> None:
        # On a GPU GroupNorm knows torch's own layout alone, and its copies take more than convolutions gain.
        self._layout = torch.channels_last if runtime.device.type == "cpu" else torch.contiguous_format
        place = {"device": runtime.device, "memory_format": self._layout}
        self.tokenizer = tokenizer.to(**place).train()
        self.discriminator = PatchDiscriminator(config.discriminator_channels, config.discriminator_layers).to(**place)
        share_batch_norms(self.discriminator, processes)
        self.lpips = lpips.to(**place)
        self.config = config
        self.runtime = runtime
        self.processes = processes
        self.generator_optimiser = self._adam(tokenizer)
        self.discriminator_optimiser = self._adam(self.discriminator)

    def _adam(self, network: nn.Module) -> Adam:
        return Adam(_trained(network), lr=self.config.learning_rate, betas=BETAS, eps=EPSILON)

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

        pictures: [B, 3, H, W] float32 in [0, 1], this process's share.   global_vectors: [B, num_global, g] float32,
        None without.   image_features: unit CLIP features [B, d], for kinds that are guided by them.
        The terms are those of the whole batch.
        """
        for optimiser in (self.generator_optimiser, self.discriminator_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate
        adversarial = step >= self.config.gan_start_step
        pictures = pictures.to(self.runtime.device, memory_format=self._layout)
        batch = Batch(pictures, global_vectors, image_features)
        reconstruction, terms, ids = self._generator_step(batch, adversarial)
        if adversarial:
            terms["discriminator"] = self._discriminator_step(pictures, reconstruction)
        if self.processes.count > 1:
            means = self.processes.mean(torch.stack([term.to(self.runtime.device) for term in terms.values()]))
            terms = dict(zip(terms, means, strict=True))
        terms["codes_in_batch"] = torch.tensor(self.processes.gather(ids).unique().numel())
        return terms

    def _generator_step(self, batch: Batch, adversarial: bool) -> tuple[Tensor, Terms, Tensor]:
        """Returns the reconstruction [B, 3, H, W], this share's terms and ids [B, num_tokens]."""
        self.discriminator.requires_grad_(False)  # its gradients in this step would be thrown away
        self.generator_optimiser.zero_grad()
        parts = batch.micro_batches(self.runtime.train_micro_batch)
        compute = self._whole_gradients if len(parts) == 1 else self._accumulated_gradients
        result = compute(parts, adversarial)
        self.discriminator.requires_grad_(True)
        self.processes.average_gradients(self.tokenizer.parameters())
        self.generator_optimiser.step()
        return result

    def _forward(self, batch: Batch) -> tuple[GeneratorTerms, Tensor]:
        """The generator's loss without the discriminator's part, and the ids."""
        with self._autocast():
            features = self.tokenizer.encode(batch.pictures)
        # distances need fp32
        quantized = self.tokenizer.quantize(features, self.config.commitment_weight, batch.image_features)
        with self._autocast():
            reconstruction = self.tokenizer.decode(quantized.features, batch.global_vectors)
            perceptual = self.lpips(reconstruction, batch.pictures).to(reconstruction.dtype)
        last_layer = self.tokenizer.decoder.conv_out.weight
        loss = GeneratorTerms(batch.pictures, reconstruction, perceptual, quantized.loss, None, last_layer)
        return loss, quantized.ids

    def _judge(self, *batches: Tensor) -> list[Tensor]:
        """The discriminator's logits [B, 1, h', w'] of each batch, in the pictures' precision."""
        with self._autocast():  # one for all: they share what it makes of the weights
            return [self.discriminator(pictures).to(pictures.dtype) for pictures in batches]

    def _whole_gradients(self, parts: list[Batch], adversarial: bool) -> tuple[Tensor, Terms, Tensor]:
        (batch,) = parts
        loss, ids = self._forward(batch)
        if adversarial:
            loss = replace(loss, fake_logits=self._judge(loss.reconstruction)[0])
        total, terms = generator_loss(loss, self.config, self.processes.mean)
        total.backward()
        return loss.reconstruction.detach(), terms, ids

    def _accumulated_gradients(self, parts: list[Batch], adversarial: bool) -> tuple[Tensor, Terms, Tensor]:
        """As ``_whole_gradients``, with the activations of one micro batch at a time in memory.

        Once the discriminator has joined, a first pass tells the adversarial gradient at every picture.
        """
        size = sum(len(part.pictures) for part in parts)
        pulls, adversarial_terms = self._adversarial_pulls(parts, size) if adversarial else ([], {})
        reconstructions, all_ids, sums = [], [], {}
        for index, part in enumerate(parts):
            loss, ids = self._forward(part)
            total, terms = generator_loss(loss, self.config)
            share = len(part.pictures) / size
            roots = [share * total, *([loss.reconstruction] if adversarial else [])]
            torch.autograd.backward(roots, [None, *pulls[index : index + 1]])
            sums = {name: sums.get(name, 0) + share * term for name, term in terms.items()}
            reconstructions.append(loss.reconstruction.detach())
            all_ids.append(ids)
        if adversarial:
            weight = self.config.gan_weight * adversarial_terms["adaptive_weight"]
            sums["total"] = sums["total"] + weight * adversarial_terms["adversarial"]
        return torch.cat(reconstructions), sums | adversarial_terms, torch.cat(all_ids)

    def _adversarial_pulls(self, parts: list[Batch], size: int) -> tuple[list[Tensor], Terms]:
        """The weighted adversarial loss's gradients at the reconstruction of every micro batch, and its terms.

        The discriminator judges all micro batches at once, as its BatchNorm needs them together.
        """
        reconstructions, content_gradients = [], []
        last_layer = self.tokenizer.decoder.conv_out.weight
        with _only_trained(self.tokenizer, last_layer):  # the graph begins at the last layer: little memory
            for part in parts:
                loss, _ = self._forward(part)
                content, _ = generator_loss(loss, self.config)
                (gradient,) = torch.autograd.grad(content, last_layer, retain_graph=True)
                content_gradients.append(len(part.pictures) / size * gradient)
                reconstructions.append(loss.reconstruction)
            adversarial = adversarial_loss(*self._judge(torch.cat(reconstructions)))
            gradient, *pulls = torch.autograd.grad(adversarial, [last_layer, *reconstructions])
        scale = torch.tensor(1.0)
        if self.config.gan_adaptive:
            scale = gradient_ratio(self.processes.mean(sum(content_gradients)), self.processes.mean(gradient))
        terms = {"adversarial": adversarial.detach(), "adaptive_weight": scale}
        return [self.config.gan_weight * scale * pull for pull in pulls], terms

    def _discriminator_step(self, pictures: Tensor, reconstruction: Tensor) -> Tensor:
        loss = discriminator_loss(*self._judge(pictures, reconstruction))
        self.discriminator_optimiser.zero_grad()
        loss.backward()
        self.processes.average_gradients(self.discriminator.parameters())
        self.discriminator_optimiser.step()
        return loss.detach()


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@contextmanager
def _only_trained(network: nn.Module, kept: nn.Parameter) -> Iterator[None]:
    """Freezes all trained parameters but one for a while."""
    others = [parameter for parameter in _trained(network) if parameter is not kept]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
