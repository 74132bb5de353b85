"""Measuring in passes, with small stand-ins for the networks; the stages' tests measure with the real ones."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from v2l.data.images import to_tensor
from v2l.experiments.measures import (
    MEASURED,
    PASS_PICTURES,
    Measures,
    filled_pass,
    in_passes,
    measure,
    measured_rows,
    picture_png,
)
from v2l.models import perceptual
from v2l.models.perceptual import Vgg16Features


class Difference(nn.Module):
    """A distance that tells which picture comes first, and notes how many it is given."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale, self.counts = scale, []

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        self.counts.append(len(first))
        return self.scale * (first - second).mean(dim=(1, 2, 3))


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> Measures:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
    monkeypatch.setattr(perceptual, "load_trunk", lambda *_: trunk)
    return Measures(Difference(1.0), Difference(10.0), Vgg16Features(Path("none")))


def pictures(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_columns_are_the_measures_of_the_reconstruction_against_the_picture(measures: Measures) -> None:
    clean, decoded = pictures(3, 0), pictures(3, 1)
    table = measure(clean, decoded, measures, "rgb")
    assert list(table.columns) == list(MEASURED) == ["psnr", "ssim", "lpips_vgg", "lpips_alex"]
    assert (table.dtypes == np.float64).all()
    for row in range(3):
        difference = decoded[row].double() - clean[row].double()
        # float32 means of 768 numbers below 1
        assert table["psnr"][row] == pytest.approx(-10 * np.log10(difference.square().mean().item()), abs=1e-4)
        assert table["lpips_vgg"][row] == pytest.approx(difference.mean().item(), abs=1e-6)
        assert table["lpips_alex"][row] == pytest.approx(10 * difference.mean().item(), abs=1e-5)
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]
    error = ((decoded[0].double() - clean[0].double()) * luma).sum(dim=0).square().mean().item()
    assert measure(clean, decoded, measures, "luma")["psnr"][0] == pytest.approx(-10 * np.log10(error), abs=1e-4)


def test_features_are_means_over_positions_of_normalised_pictures(measures: Measures) -> None:
    """Oracle: the convolution as a double-precision sum over one patch at a time."""
    picture = pictures(1, 0)
    normalised = picture[0].double().numpy()
    for channel, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        normalised[channel] = (normalised[channel] - mean) / std
    weight, bias = (parameter.detach().double().numpy() for parameter in measures.frechet.trunk[0].parameters())
    expected = np.zeros(4)
    for row in range(7):
        for column in range(7):
            patch = normalised[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected += np.maximum((weight * patch).sum(axis=(1, 2, 3)) + bias, 0) / 49
    features = measures.features(picture)
    assert features.shape == (1, 4)
    np.testing.assert_allclose(features[0].numpy(), expected, atol=1e-5)  # float32 sums of 27 products around 1


@pytest.mark.parametrize("count", [1, PASS_PICTURES - 1, PASS_PICTURES])
def test_a_pass_is_filled_with_its_last_picture(count: int) -> None:
    rows = np.arange(100, 100 + count)
    assert filled_pass(rows).tolist() == rows.tolist() + [rows[-1]] * (PASS_PICTURES - count)


@pytest.mark.parametrize("count", [1, PASS_PICTURES, PASS_PICTURES + 1, 2 * PASS_PICTURES + 5])
def test_passes_give_every_stack_its_own_rows_and_always_as_many(count: int) -> None:
    first, second = torch.arange(count), 1000 * torch.arange(count)[:, None]
    given: list[list[int]] = []

    def function(left: Tensor, right: Tensor) -> Tensor:
        given.append([len(left), len(right)])
        return left[:, None] + right

    assert torch.equal(in_passes(function, first, second), 1001 * torch.arange(count)[:, None])
    assert given == [[PASS_PICTURES] * 2] * -(-count // PASS_PICTURES)


@pytest.mark.filterwarnings("error")
def test_rows_in_passes_are_those_of_each_picture_alone(measures: Measures) -> None:
    count = PASS_PICTURES + 3
    clean, decoded = pictures(count, 0), pictures(count, 1)
    together = measured_rows(clean, decoded, measures, "luma")
    assert list(together.columns) == list(MEASURED)
    assert len(together) == count
    assert measures.lpips_vgg.counts == [PASS_PICTURES] * 2
    for row in (0, PASS_PICTURES - 1, PASS_PICTURES, count - 1):
        pair = clean[row : row + 1], decoded[row : row + 1]
        alone = measured_rows(*pair, measures, "luma")
        assert (alone.loc[0] == together.loc[row]).all()  # equal to the last bit, as passes have one size
        # another batch size may round float32 otherwise
        np.testing.assert_allclose(measure(*pair, measures, "luma").loc[0], together.loc[row], atol=1e-4)


def test_a_png_holds_the_nearest_of_256_levels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    stored = np.asarray(Image.open(io.BytesIO(picture_png(to_tensor(pixels[None])[0]))))
    assert np.array_equal(stored, pixels)
    levels = torch.tensor([0.0, 0.4, 0.6, 127.4, 127.6, 255.0])[None, None].expand(3, 1, 6) / 255
    stored = np.asarray(Image.open(io.BytesIO(picture_png(levels))))
    assert stored[0, :, 0].tolist() == [0, 0, 1, 127, 128, 255]
