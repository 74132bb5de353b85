"""The PatchGAN discriminator (Isola et al. 2017; PROTOCOL: tokenizer)."""

from torch import Tensor, nn

MAX_MULTIPLIER = 8  # width is base x 2^layer up to base x 8


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class PatchDiscriminator(nn.Module):
    """Says of every patch how real it looks. Pictures [B, 3, H, W] in [0, 1] -> logits [B, 1, h', w'].

    channels: filters of the first layer.   layers: strided layers (2 in the release: 4 times down-sampled).
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        before = channels
        for layer in range(1, layers + 1):
            width = channels * min(2**layer, MAX_MULTIPLIER)
            stride = 2 if layer < layers else 1
            parts.append(nn.Conv2d(before, width, 4, stride=stride, padding=1, bias=False))  # BatchNorm has the bias
            parts += [nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
            before = width
        parts.append(nn.Conv2d(before, 1, 4, stride=1, padding=1))
        self.main = nn.Sequential(*parts)
        self.apply(_initialise)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.main(2 * pictures - 1)
