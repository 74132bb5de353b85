"""Numbers as readers see them."""

import pytest

from v2l.metrics.entries import MEASURES
from v2l.report.display import DISPLAYS, display_of


def test_value_is_scaled_and_rounded_with_its_interval():
    entry = {"value": 0.77123, "low": 0.6, "high": 0.85}
    assert DISPLAYS["accuracy"].text(entry) == "77.1 [60.0, 85.0]"
    assert DISPLAYS["accuracy"].heading == "Accuracy (%) ↑"
    assert DISPLAYS["tokens_restored"].text({"value": 0.123, "low": None, "high": None}) == "12.3"


def test_value_without_bounds_stands_alone():
    assert DISPLAYS["codebook_size"].text({"value": 11908.0, "low": None, "high": None}) == "11,908"


@pytest.mark.parametrize("name", MEASURES)
def test_arrow_points_the_way_the_metric_says(name):
    assert DISPLAYS[name].better == MEASURES[name][1]


def test_unknown_share_is_shown_in_per_cent_under_its_own_name():
    display = display_of("order_1_share", {"unit": "fraction", "better": None})
    assert (display.label, display.number(0.125)) == ("Order 1 share", "12.5")
    assert display_of("kendall", {"unit": "bits", "better": "lower"}).heading == "Kendall (bits) ↓"
