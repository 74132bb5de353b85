import io

import numpy as np
import pytest
from PIL import Image

from v2l.data.svg import icon_svg, render, render_or_reason

RED, WHITE = [255, 0, 0], [255, 255, 255]


def pixels(icon_set: dict, size_px: int = 16) -> np.ndarray:
    picture = Image.open(io.BytesIO(render(icon_svg(icon_set, "icon", size_px))))
    return np.asarray(picture.convert("RGB"))


def test_icon_is_drawn_on_white():
    body = '<path fill="red" d="M0 0h32v64H0z"/>'
    picture = pixels({"width": 64, "height": 64, "icons": {"icon": {"body": body}}})
    assert picture.shape == (16, 16, 3)
    assert (picture[:, :8] == RED).all()
    assert (picture[:, 8:] == WHITE).all()


def test_size_and_origin_of_the_icon_come_before_those_of_the_set():
    body = '<path fill="red" d="M10 20h8v8h-8z"/>'
    icon = {"body": body, "left": 10, "top": 20, "width": 8, "height": 8}
    assert (pixels({"width": 512, "height": 512, "icons": {"icon": icon}}) == RED).all()


def test_icon_without_any_size_is_sixteen_units_wide():
    assert (pixels({"icons": {"icon": {"body": '<path fill="red" d="M0 0h16v16H0z"/>'}}}) == RED).all()


def test_wide_icon_is_centred():
    icon = {"body": '<path fill="red" d="M0 0h32v16H0z"/>', "width": 32, "height": 16}
    picture = pixels({"icons": {"icon": icon}})
    assert (picture[4:12] == RED).all()
    assert (picture[:4] == WHITE).all()
    assert (picture[12:] == WHITE).all()


def test_text_needs_a_font_and_no_system_font_is_used():
    body = '<text x="0" y="14" font-size="16">M</text>'
    assert (pixels({"icons": {"icon": {"body": body}}}) == WHITE).all()


@pytest.mark.parametrize("svg", ["", "<svg", "<svg xmlns='http://www.w3.org/2000/svg'><g></svg>"])
def test_malformed_svg_gives_a_reason_in_one_line(svg: str):
    reason = render_or_reason(svg)
    assert isinstance(reason, str)
    assert reason
    assert "\n" not in reason
