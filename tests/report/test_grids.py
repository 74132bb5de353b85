"""Lines of text are as wide as there is room for them."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from v2l.report.grids import fit_lines
from v2l.report.saver import house_style

WIDE = "hammer; Hammer and; Hammer and the; memory"


def drawn_width(line: str, weight: str) -> float:
    """Points that matplotlib's own renderer takes for the line, at 100 pixels a point."""
    figure = Figure(figsize=(0.1, 0.1), dpi=7200)
    text = figure.text(0, 0, line, weight=weight)
    return text.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width / 100


@pytest.mark.parametrize("weight", ["normal", "bold"])
@pytest.mark.parametrize("text", [WIDE, "m" * 40, "i" * 40, "crystal ball; tennis ball; jelly"])
def test_every_line_fits_and_no_letter_is_lost(text: str, weight: str) -> None:
    with house_style():
        lines = fit_lines(text, 60, 9, weight)
        assert all(drawn_width(line, weight) <= 60 + 1 for line in lines)
        longer = fit_lines(text, 150, 9, weight)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert len(longer) < len(lines)


def test_what_is_left_over_is_cut_off() -> None:
    with house_style():
        lines = fit_lines(WIDE, 60, 2)
    assert len(lines) == 2
    assert lines[-1].endswith("…")


def test_no_line_where_no_letter_fits() -> None:
    with house_style():
        assert fit_lines("m", 1, 2) == []
