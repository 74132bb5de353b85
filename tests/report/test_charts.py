"""What the charts draw is what the artifacts hold."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import read_json
from v2l.report import charts
from v2l.report.saver import house_style

from .conftest import FEWSHOT, NUM_GLOBAL, WAYS


@pytest.fixture
def usage():
    rows = [
        ("local", "heldout", 5, 1, 30), ("local", "heldout", 9, 1, 10), ("local", "train", 5, 1, 7),
        ("best global", "heldout", 0, 1, 3), ("best global", "heldout", 1, 3, 1), ("best global", "train", 1, 3, 90),
        ("global", "heldout", 0, 1, 4), ("global", "heldout", 1, 3, 4), ("global", "heldout", 2, 2, 8),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["kind", "split", "code", "order", "count"])


def test_few_shot_points_and_bars_are_the_metrics_in_per_cent(results):
    metrics = read_json(results / "classify/metrics.json")
    with house_style():
        figure = charts.few_shot_figure(metrics, FEWSHOT)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["2-way", "5-way"]
    for axis, ways in zip(figure.axes, WAYS, strict=True):
        for container, num_global in zip(axis.containers, NUM_GLOBAL, strict=True):
            names = [*(setting.name for setting in FEWSHOT.settings), "average"]
            entries = [metrics[f"accuracy | {ways}-way | Kg={num_global} | {name}"] for name in names]
            line, _, (bars,) = container
            np.testing.assert_allclose(line.get_ydata(), [100 * entry["value"] for entry in entries])
            ends = np.array([segment[:, 1] for segment in bars.get_segments()])
            # float64 differences of numbers below 100.
            np.testing.assert_allclose(ends[:, 0], [100 * entry["low"] for entry in entries], atol=1e-9)
            np.testing.assert_allclose(ends[:, 1], [100 * entry["high"] for entry in entries], atol=1e-9)
        chance = next(line for line in axis.lines if line.get_label() == "chance")
        assert set(chance.get_ydata()) == {100 / ways}
        assert axis.get_ylim()[0] == 0


def test_kg_differs_by_marker_and_not_by_colour_alone(results):
    with house_style():
        figure = charts.few_shot_figure(read_json(results / "classify/metrics.json"), FEWSHOT)
    lines = [container[0] for container in figure.axes[0].containers]
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 2


def test_missing_setting_leaves_a_gap():
    points = charts.few_shot_points({}, 2, 5, ["average"])
    assert points.isna().all(axis=None)


def test_order_shares_are_those_of_held_out_pictures(usage):
    shares = charts.order_table(usage)
    assert shares["best global"].tolist() == [75, 0, 25]
    assert shares["global"].tolist() == [25, 50, 25]


def test_codebook_figure_draws_sorted_shares_and_bars_from_zero(usage):
    with house_style():
        figure = charts.codebook_figure(usage)
    left, right = figure.axes
    heldout = next(line for line in left.lines if "held-out" in line.get_label())
    np.testing.assert_allclose(heldout.get_ydata(), [0.75, 0.25])
    assert [line.get_linestyle() for line in left.lines] == ["-", "--"]
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    assert right.get_ylim()[0] == 0
    assert {bar.get_hatch() for bar in right.patches} == {"", "////"}


def test_codebook_caption_counts_what_is_drawn(usage):
    caption = charts.codebook_caption(usage, seed=4)
    for part in ("(n = 4)", "2 local codes are in use", "25 % of the best tokens are bigrams or trigrams", "Seed 4"):
        assert part in caption


def test_curves_have_a_panel_for_each_term_with_values():
    curves = pd.DataFrame(
        {"step": [0, 10, 20], "epoch": [0, 0.1, 0.2], "total": [3.0, 2, 1], "late": [np.nan, 5, 6], "never": np.nan}
    )
    with house_style():
        figure = charts.curves_figure(curves)
    drawn = {axis.get_title(loc="left"): axis.lines[0] for axis in figure.axes if axis.axison}
    assert list(drawn) == ["total", "late"]
    np.testing.assert_array_equal(drawn["late"].get_xydata(), [[10, 5], [20, 6]])
    assert "total goes from 3 to 1" in charts.curves_caption(curves, seed=0)


def test_few_shot_caption_names_the_best_setting_of_each_ways(results):
    metrics = read_json(results / "classify/metrics.json")
    caption = charts.few_shot_caption(metrics, FEWSHOT, seed=3)
    for ways in (2, 5):
        best = max(
            entry["value"] for key, entry in metrics.items() if f"| {ways}-way |" in key and not key.endswith("average")
        )
        assert f"{ways}-way {100 * best:.1f} %" in caption
    assert "20 episodes a point" in caption
