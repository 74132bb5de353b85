"""The tokenizer's training losses (paper, section 3.3; PROTOCOL: tokenizer)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from v2l.config.train import TrainConfig

MAX_ADAPTIVE_WEIGHT = 1e4

Terms = dict[str, Tensor]


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Hinge loss: real patches above 1, reconstructed ones below -1."""
    return (F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()) / 2


def adversarial_loss(fake_logits: Tensor) -> Tensor:
    """What the generator minimises: reconstructed patches should look real."""
    return -fake_logits.mean()


def gradient_ratio(content_gradient: Tensor, adversarial_gradient: Tensor) -> Tensor:
    """Ratio of the norms of two losses' gradients at the decoder's last convolution, at most 1e4; a constant.

    Keeps the adversarial loss as strong as the content loss wherever training stands (VQ-GAN, equation 7).
    """
    return (content_gradient.norm() / (adversarial_gradient.norm() + 1e-4)).clamp(max=MAX_ADAPTIVE_WEIGHT).detach()


def adaptive_weight(
    content: Tensor, adversarial: Tensor, last_layer: Tensor, mean: Callable[[Tensor], Tensor] = lambda tensor: tensor
) -> Tensor:
    """``gradient_ratio`` of the two losses. mean: over processes, where each has the losses of its share of a batch."""
    content_gradient = torch.autograd.grad(content, last_layer, retain_graph=True)[0]
    adversarial_gradient = torch.autograd.grad(adversarial, last_layer, retain_graph=True)[0]
    return gradient_ratio(mean(content_gradient), mean(adversarial_gradient))


@dataclass(frozen=True)
class GeneratorTerms:
    """What the generator's loss is made of.

    pictures, reconstruction: [B, 3, H, W] in [0, 1].   perceptual: LPIPS distances [B].   quantizer: scalar.
    fake_logits: the discriminator's answer to the reconstruction, None before it joins.
    last_layer: weight of the decoder's last convolution.
    """

    pictures: Tensor
    reconstruction: Tensor
    perceptual: Tensor
    quantizer: Tensor
    fake_logits: Tensor | None
    last_layer: Tensor


def generator_loss(
    parts: GeneratorTerms, config: TrainConfig, mean: Callable[[Tensor], Tensor] = lambda tensor: tensor
) -> tuple[Tensor, Terms]:
    """mean |x - y| + L_VQ + l1 L_perceptual + l2 L_GAN, and its detached terms by name.

    The first term is measured on [-1, 1], the range the networks work in, as in the release. mean: as in
    ``adaptive_weight``.
    """
    reconstruction = 2 * F.l1_loss(parts.reconstruction, parts.pictures)
    perceptual = parts.perceptual.mean()
    content = reconstruction + config.perceptual_weight * perceptual
    total = content + parts.quantizer
    terms = {"reconstruction": reconstruction, "perceptual": perceptual, "quantizer": parts.quantizer}
    if parts.fake_logits is not None:
        adversarial = adversarial_loss(parts.fake_logits)
        scale = torch.tensor(1.0)
        if config.gan_adaptive:
            scale = adaptive_weight(content, adversarial, parts.last_layer, mean)
        total = total + config.gan_weight * scale * adversarial
        terms |= {"adversarial": adversarial, "adaptive_weight": scale}
    return total, {name: term.detach() for name, term in {"total": total, **terms}.items()}
