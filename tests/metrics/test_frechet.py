"""Fréchet distance against closed forms and a matrix square root."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from v2l.metrics.frechet import frechet_distance


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_one_dimension_has_the_closed_form():
    a, b = np.array([[0.0], [2.0], [4.0]]), np.array([[5.0], [6.0], [7.0]])
    # (mean difference)^2 + (difference of standard deviations)^2 = 4^2 + (2 - 1)^2
    assert frechet_distance(a, b) == pytest.approx(17.0, abs=1e-12)


def test_shifted_copy_is_its_squared_shift_away(generator):
    features = generator.normal(size=(200, 8))
    shift = np.arange(8.0)
    # float64 sums of 200 x 8 terms of order 1.
    assert frechet_distance(features, features + shift) == pytest.approx(shift @ shift, abs=1e-9)


@pytest.mark.parametrize("n", [300, 7])
def test_equals_the_definition_with_a_matrix_root(generator, n):
    a = generator.normal(size=(n, 12)) @ generator.normal(size=(12, 12))
    b = generator.normal(size=(n + 5, 12)) @ generator.normal(size=(12, 12)) + 0.3
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(covariance_a @ covariance_b).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariance_a + covariance_b - 2 * root)
    # The reference takes the root of a singular matrix when n = 7 < 12: half of float64's 16 digits are lost there.
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


class Flat(nn.Module):
    num_features = 48

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.flatten(1).double()


def test_equals_fid_of_torchmetrics_on_features_of_any_network(generator):
    sets = [torch.from_numpy(generator.integers(top, size=(100, 3, 4, 4), dtype=np.uint8)) for top in (256, 128)]
    fid = FrechetInceptionDistance(feature=Flat())
    for pictures, real in zip(sets, (True, False), strict=True):
        fid.update(pictures, real=real)
    # torchmetrics keeps its sums in float64, but takes the difference of means in float32
    assert frechet_distance(*(Flat()(each).numpy() for each in sets)) == pytest.approx(float(fid.compute()), rel=1e-5)


def test_set_is_at_no_distance_from_itself_in_any_order(generator):
    features = generator.normal(size=(20, 64)).astype(np.float32)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-10)


def test_is_symmetric(generator):
    a, b = generator.normal(size=(30, 6)), generator.normal(size=(40, 6)) * 2
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [((1, 3), (5, 3)), ((5, 3), (5, 4)), ((5,), (5,))])
def test_other_shapes_are_refused(a, b):
    with pytest.raises(ValueError, match=r"expected \[n >= 2, d\] features with one d"):
        frechet_distance(np.ones(a), np.ones(b))
