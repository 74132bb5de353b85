import pytest
import torch

from v2l.config.train import TrainConfig
from v2l.tokenizer.losses import (
    MAX_ADAPTIVE_WEIGHT,
    GeneratorTerms,
    adaptive_weight,
    adversarial_loss,
    discriminator_loss,
    generator_loss,
)


def test_hinge_losses_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    # real: 0, 0.5, 2; fake: 0, 1, 2; the mean of the two means
    assert discriminator_loss(real, fake).item() == pytest.approx((2.5 / 3 + 3 / 3) / 2)
    assert adversarial_loss(fake).item() == pytest.approx(2 / 3)


def test_adaptive_weight_is_the_ratio_of_gradient_norms() -> None:
    layer = torch.tensor([1.0, 2.0], requires_grad=True)
    content, adversarial = (layer * torch.tensor([3.0, 4.0])).sum(), (layer * torch.tensor([0.0, 2.0])).sum()
    weight = adaptive_weight(content, adversarial, layer)
    assert weight.item() == pytest.approx(5 / (2 + 1e-4))
    assert not weight.requires_grad
    assert adaptive_weight(content, 0 * adversarial, layer).item() == MAX_ADAPTIVE_WEIGHT


def terms(with_gan: bool) -> GeneratorTerms:
    pictures = torch.tensor([0.0, 0.5, 1.0, 1.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    layer = torch.tensor(0.1, requires_grad=True)
    reconstruction = pictures + layer  # mean |x - y| = 0.1 in [0, 1], 0.2 in [-1, 1]
    logits = 3 * layer.reshape(1, 1, 1, 1) if with_gan else None
    return GeneratorTerms(pictures, reconstruction, torch.tensor([0.5]), torch.tensor(0.25), logits, layer)


def test_loss_before_the_discriminator_joins() -> None:
    total, named = generator_loss(terms(with_gan=False), TrainConfig(perceptual_weight=0.4))
    assert total.item() == pytest.approx(0.2 + 0.4 * 0.5 + 0.25)
    assert {name: pytest.approx(value.item()) for name, value in named.items()} == {
        "total": total.item(),
        "reconstruction": 0.2,
        "perceptual": 0.5,
        "quantizer": 0.25,
    }


@pytest.mark.parametrize("adaptive", [False, True])
def test_loss_with_the_discriminator(adaptive: bool) -> None:
    config = TrainConfig(perceptual_weight=0.4, gan_weight=0.1, gan_adaptive=adaptive)
    total, named = generator_loss(terms(with_gan=True), config)
    scale = 2 / (3 + 1e-4) if adaptive else 1.0  # d content / d layer = 2, d adversarial / d layer = -3
    assert named["adaptive_weight"].item() == pytest.approx(scale)
    assert named["adversarial"].item() == pytest.approx(-0.3)
    assert total.item() == pytest.approx(0.2 + 0.2 + 0.25 + 0.1 * scale * -0.3)
    assert total.requires_grad
    assert not any(term.requires_grad for term in named.values())
