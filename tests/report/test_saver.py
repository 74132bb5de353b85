"""Series of a figure can be told apart."""

from itertools import combinations

import numpy as np
from matplotlib.colors import to_rgb

from v2l.report.saver import house_style, series_style


def test_eight_series_differ_in_colour_marker_and_dash() -> None:
    with house_style():
        styles = [series_style(place, "color", "marker", "linestyle") for place in range(8)]
        assert series_style(8, "color") == series_style(0, "color")
    for first, second in combinations(styles, 2):
        assert first["marker"] != second["marker"]
        assert first["linestyle"] != second["linestyle"]
        assert np.abs(np.subtract(to_rgb(first["color"]), to_rgb(second["color"]))).max() > 0.2
