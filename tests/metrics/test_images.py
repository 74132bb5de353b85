import math

import pytest
import torch
from scipy.ndimage import gaussian_filter

from v2l.metrics.images import psnr, ssim


def pair(count: int = 3, size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(count, 3, size, size, generator=generator)
    return first, (first + 0.1 * torch.randn(first.shape, generator=generator)).clamp(0, 1)


def test_psnr_of_a_known_error() -> None:
    black = torch.zeros(2, 3, 8, 8)
    off = black.clone()
    off[0] += 0.1
    off[1, 0] += 0.3  # red alone
    assert psnr(off, black, "rgb").tolist() == pytest.approx([20.0, -10 * math.log10(0.03)], abs=1e-4)
    assert psnr(off, black, "luma").tolist() == pytest.approx([20.0, -20 * math.log10(0.299 * 0.3)], abs=1e-4)


def test_equal_pictures_have_infinite_psnr_and_ssim_1() -> None:
    first, _ = pair()
    assert psnr(first, first, "rgb").tolist() == [math.inf] * 3
    torch.testing.assert_close(ssim(first, first), torch.ones(3))


def test_ssim_equals_the_formula_written_out() -> None:
    first, second = pair()
    values = []
    for x, y in zip(first.double().numpy(), second.double().numpy(), strict=True):
        channels = []
        for a, b in zip(x, y, strict=True):

            def blur(z):
                return gaussian_filter(z, sigma=1.5, truncate=5 / 1.5, mode="mirror")  # an 11 x 11 window

            mean_a, mean_b = blur(a), blur(b)
            var_a, var_b, covariance = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
            top = (2 * mean_a * mean_b + 0.01**2) * (2 * covariance + 0.03**2)
            channels.append((top / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))).mean())
        values.append(sum(channels) / 3)
    # variances are differences of float32 means of squares
    assert ssim(first, second).tolist() == pytest.approx(values, abs=1e-4)


@pytest.mark.parametrize("measure", [lambda a, b: psnr(a, b, "rgb"), lambda a, b: psnr(a, b, "luma"), ssim])
def test_each_picture_has_its_own_value(measure) -> None:
    first, second = pair()
    together = measure(first, second)
    assert together.shape == (3,)
    torch.testing.assert_close(together, torch.cat([measure(first[i : i + 1], second[i : i + 1]) for i in range(3)]))
