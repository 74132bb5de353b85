"""Degraded pictures, by examples worked by hand."""

import numpy as np
import pytest

from v2l.data.degradations import blurred, centre_and_corner, covered, larger_side, rotated


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)


def test_a_covered_rectangle_is_grey_and_the_rest_as_it_was(picture: np.ndarray):
    result = covered(picture, top=4, left=8, height=6, width=2)
    inside = np.zeros((20, 20), dtype=bool)
    inside[4:10, 8:10] = True
    assert (result[inside] == 128).all()
    assert (result[~inside] == picture[~inside]).all()
    assert not np.shares_memory(result, picture)


def test_rotation_brings_the_right_side_to_the_top(picture: np.ndarray):
    result = rotated(picture)
    for row, column in ((0, 0), (3, 7), (19, 4)):
        assert (result[19 - column, row] == picture[row, column]).all()


def test_blur_is_a_gaussian_of_the_drawn_kernel(picture: np.ndarray):
    """Oracle: a direct sum with OpenCV's sigma for the side, 0.3 ((side - 1) / 2 - 1) + 0.8, borders reflected."""
    side = 5
    sigma = 0.3 * ((side - 1) / 2 - 1) + 0.8
    weights = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    wide = np.pad(picture.astype(float), ((2, 2), (2, 2), (0, 0)), mode="reflect")
    expected = np.zeros((20, 20, 3))
    for row in range(side):
        for column in range(side):
            expected += kernel[row, column] * wide[row : row + 20, column : column + 20]
    result = blurred(picture, [side], np.random.default_rng(0))
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result, expected, atol=0.51)


def test_every_kernel_is_drawn(picture: np.ndarray):
    generator = np.random.default_rng(0)
    drawn = {blurred(picture, [5, 7, 9, 11], generator).tobytes() for _ in range(60)}
    assert drawn == {blurred(picture, [side], generator).tobytes() for side in (5, 7, 9, 11)}


@pytest.mark.parametrize(("share", "side"), [(0.25, 20), (0.01, 18), (0.5, 24), (0.3, 20), (0.35, 22)])
def test_a_larger_picture_leaves_equal_borders(share: float, side: int):
    assert larger_side(16, share) == side


def test_shift_moves_the_crop_from_the_centre_to_the_bottom_right(picture: np.ndarray):
    centre, corner = centre_and_corner(picture, 16)
    assert (centre == picture[2:18, 2:18]).all()
    assert (corner == picture[4:20, 4:20]).all()
    assert (centre[2:, 2:] == corner[:-2, :-2]).all()
