"""The ablation figure shows what one change does, and says when intervals do not tell."""

import numpy as np
import pytest

from v2l.artifacts import read_json
from v2l.report import ablation_figure
from v2l.report.display import DISPLAYS
from v2l.report.saver import house_style

from .figure_data import ONE_SHOT, RUNS


@pytest.fixture(scope="module")
def metrics(figure_data):
    return [read_json(figure_data / f"{name}/metrics.json") for name in ("classify", "semantics", "reconstruct")]


def _entry(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 9}


def test_accuracy_by_kg_joins_the_runs_that_share_the_words(metrics):
    by_kg, by_codebook, *_ = ablation_figure.ablation_panels(*metrics, RUNS)
    assert list(by_kg.places) == ["1", "5", "11", "21"]
    expected = {
        kg: metrics[0][f"accuracy | {run} | 5-way | Kg={kg} | {ONE_SHOT.name}"]
        for kg, run in (("1", "ablation_num_global"), ("5", "v2l"), ("11", "ablation_num_global"), ("21", "v2l"))
    }
    assert by_kg.series["5-way"] == expected
    assert list(by_codebook.places) == ["1", "1-2", "1-3", "all, not filtered"]
    assert by_codebook.series["2-way"]["1-3"] == metrics[0][f"accuracy | v2l | 2-way | Kg=5 | {ONE_SHOT.name}"]


def test_each_panel_draws_its_entries_with_their_intervals(metrics):
    panels = ablation_figure.ablation_panels(*metrics, RUNS)
    with house_style():
        figure = ablation_figure.ablation_figure(panels)
    assert len(figure.axes) == 6
    lpips = figure.axes[5]
    (line, _, (bars,)) = lpips.containers[0]
    entries = [metrics[2][f"lpips_vgg | {name}"] for name in ("v2l", "v2l_no_projector", "v2l_no_global")]
    np.testing.assert_allclose(line.get_ydata(), [entry["value"] for entry in entries])
    np.testing.assert_allclose([segment[0, 1] for segment in bars.get_segments()], [entry["low"] for entry in entries])
    assert lpips.get_ylabel() == "LPIPS-VGG ↓"
    assert figure.axes[0].get_ylim()[0] == 0


def test_series_differ_by_marker_and_not_by_colour_alone(metrics):
    with house_style():
        figure = ablation_figure.ablation_figure(ablation_figure.ablation_panels(*metrics, RUNS))
    lines = [container[0] for axis in figure.axes[:4:3] for container in axis.containers]
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 6


@pytest.mark.parametrize(
    ("other", "said"),
    [((0.5, 0.3, 0.7), "whose interval overlaps that of Kg = 5"), ((0.1, 0.0, 0.2), "clear of Kg = 5")],
)
def test_best_place_is_said_to_be_clear_only_where_intervals_are_apart(other, said):
    entries = {"1": _entry(0.6, 0.4, 0.8), "5": _entry(*other)}
    panel = ablation_figure.Panel("", DISPLAYS["accuracy"], ["1", "5"], {"5-way": entries})
    empty = ablation_figure.Panel("", DISPLAYS["clip"], [], {})
    caption = ablation_figure.ablation_caption([panel, *[empty] * 5], seed=2)
    assert f"5-way accuracy is highest with Kg = 1 (60.0 %), {said}" in caption
    assert "n = 9 episodes." in caption


def test_lower_is_better_for_lpips():
    entries = {"V2L": _entry(0.3, 0.2, 0.4), "V2L without projector": _entry(0.2, 0.1, 0.25)}
    panel = ablation_figure.Panel("", DISPLAYS["lpips_vgg"], list(entries), {"V2L": entries})
    empty = ablation_figure.Panel("", DISPLAYS["clip"], [], {})
    caption = ablation_figure.ablation_caption([*[empty] * 5, panel], seed=2)
    assert "LPIPS-VGG is lowest with V2L without projector (0.200), whose interval overlaps that of V2L" in caption


def test_nothing_run_gives_a_figure_that_says_so():
    panels = ablation_figure.ablation_panels({}, {}, {}, {})
    with house_style():
        figure = ablation_figure.ablation_figure(panels)
    assert [axis.texts[0].get_text() for axis in figure.axes] == ["not in this run"] * 6
    assert "no ablation was run" in ablation_figure.ablation_caption(panels, seed=0)
