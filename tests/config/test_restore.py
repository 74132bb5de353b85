"""Regions of the tasks and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from v2l.config.restore import Region, RestoreProtocol


def sides(protocol: RestoreProtocol, task: str, grid: int) -> tuple[int, ...]:
    region = protocol.region(task, grid)
    return region.top, region.left, region.height, region.width


def test_defaults_are_the_papers():
    protocol = RestoreProtocol()
    assert sides(protocol, "inpainting", 16) == (4, 4, 8, 8)
    assert sides(protocol, "outpainting", 16) == (8, 0, 8, 16)
    for task in ("deblurring", "rotation", "shift"):
        assert sides(protocol, task, 16) == (0, 0, 16, 16)
    assert (protocol.num_before, protocol.num_predicted) == (16, 2)
    assert protocol.replaced == pytest.approx([0.23 + 0.03 * s for s in range(10)])


def test_other_maps_are_halved_likewise():
    protocol = RestoreProtocol(num_before=4)
    assert sides(protocol, "inpainting", 8) == (2, 2, 4, 4)
    assert sides(protocol, "outpainting", 8) == (4, 0, 4, 8)


def test_a_mask_can_be_named():
    protocol = RestoreProtocol(inpainting=Region(top=1, left=2, height=3, width=4))
    assert sides(protocol, "inpainting", 16) == (1, 2, 3, 4)
    assert sides(protocol, "outpainting", 16) == (8, 0, 8, 16)


@pytest.mark.parametrize("mask", [(9, 0, 8, 8), (0, 10, 4, 8), (16, 16, 2, 2)])
def test_a_mask_outside_the_map_is_refused(mask: tuple[int, ...]):
    region = Region(**dict(zip(("top", "left", "height", "width"), mask, strict=True)))
    expected = (
        f"outpainting: expected a mask within the token map of 16 x 16, found "
        f"top={mask[0]} left={mask[1]} height={mask[2]} width={mask[3]}"
    )
    with pytest.raises(ValueError, match=expected):
        RestoreProtocol(outpainting=region).region("outpainting", 16)


def test_windows_that_do_not_fit_the_map_are_refused():
    with pytest.raises(ValueError, match="num_predicted must divide the 8 tokens that inpainting predicts in a row, f"):
        RestoreProtocol(num_predicted=3).region("inpainting", 16)
    with pytest.raises(ValueError, match="num_predicted must divide the 16 tokens that shift predicts in a row, found"):
        RestoreProtocol(num_predicted=32).region("shift", 16)
    with pytest.raises(ValueError, match="num_predicted must fit the token map of 4 x 4, found 15 and 2"):
        RestoreProtocol(num_before=15).region("rotation", 4)
    assert sides(RestoreProtocol(num_before=14), "rotation", 4) == (0, 0, 4, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blur_kernels": [5, 6]}, r"blur_kernels must be odd, found \[6\]"),
        ({"replaced": [0.2, 0.2]}, r"replaced must differ from each other, found \[0\.2, 0\.2\]"),
        ({"tasks": ["shift", "shift"]}, "tasks must differ from each other"),
        ({"tasks": ["sharpening"]}, "Input should be 'inpainting', 'outpainting'"),
        ({"replaced": [1.2]}, "less than or equal to 1"),
        ({"num_before": 0}, "greater than 0"),
        ({"inpainting": {"top": -1, "left": 0, "height": 1, "width": 1}}, "greater than or equal to 0"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        RestoreProtocol(**changes)
