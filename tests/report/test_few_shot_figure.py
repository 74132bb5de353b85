"""The few-shot figure shows the accuracies of the methods, and no others."""

import numpy as np
import pytest

from v2l.artifacts import read_json
from v2l.errors import ArtifactError
from v2l.report import few_shot_figure
from v2l.report.saver import house_style

from .figure_data import ONE_SHOT, RUNS


@pytest.fixture(scope="module")
def metrics(figure_data):
    return read_json(figure_data / "classify/metrics.json")


@pytest.fixture
def figure(metrics):
    with house_style():
        return few_shot_figure.few_shot_figure(metrics, RUNS)


def test_points_and_bars_are_the_metrics_in_per_cent(metrics, figure):
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["2-way", "5-way"]
    names = [*(setting.name for setting in RUNS["v2l"].settings), "average"]
    for axis, ways in zip(figure.axes, (2, 5), strict=True):
        for container, num_global in zip(axis.containers[:2], (5, 21), strict=True):
            entries = [metrics[f"accuracy | v2l | {ways}-way | Kg={num_global} | {name}"] for name in names]
            line, _, (bars,) = container
            np.testing.assert_allclose(line.get_ydata(), [100 * entry["value"] for entry in entries])
            np.testing.assert_array_equal(np.round(np.asarray(line.get_xdata(), float)), range(len(names)))
            ends = np.array([segment[:, 1] for segment in bars.get_segments()])
            # float64 differences of numbers below 100.
            np.testing.assert_allclose(ends[:, 0], [100 * entry["low"] for entry in entries], atol=1e-9)
            np.testing.assert_allclose(ends[:, 1], [100 * entry["high"] for entry in entries], atol=1e-9)
        chance = next(line for line in axis.lines if line.get_label() == "chance")
        assert set(chance.get_ydata()) == {100 / ways}
        assert axis.get_ylim()[0] == 0


def test_methods_are_shown_where_they_were_run_and_ablations_are_not(figure):
    shown = {axis.get_title(loc="left"): [item.get_label() for item in axis.containers] for axis in figure.axes}
    assert shown["2-way"] == [
        "V2L, Kg = 5", "V2L, Kg = 21", "VQ-GAN, Kg = 64", "LQAE-like, Kg = 64", "SPAE-like, Kg = 5",
        "SPAE-like, Kg = 21",
    ]  # fmt: skip
    assert "LQAE-like, Kg = 64" not in shown["5-way"]
    lengths = {item.get_label(): len(item[0].get_xdata()) for item in figure.axes[0].containers}
    assert lengths["VQ-GAN, Kg = 64"] == 1
    assert lengths["SPAE-like, Kg = 5"] == 3  # no mean over other settings than V2L's


def test_methods_differ_by_marker_and_not_by_colour_alone(figure):
    lines = [container[0] for container in figure.axes[0].containers]
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 6


def test_caption_names_the_best_point_and_what_all_methods_reach_in_one_setting(metrics):
    caption = few_shot_figure.few_shot_caption(metrics, RUNS, seed=3)
    for ways in (2, 5):
        best = max(
            entry["value"] for key, entry in metrics.items()
            if f"| {ways}-way |" in key and "ablation" not in key and not key.endswith("average")
        )  # fmt: skip
        assert f"the highest {ways}-way accuracy is {100 * best:.1f} %" in caption
    vqgan = 100 * metrics[f"accuracy | vqgan | 5-way | Kg=64 | {ONE_SHOT.name}"]["value"]
    assert f"VQ-GAN, Kg = 64: {vqgan:.1f} %" in caption
    assert "episodes a point: V2L 20; VQ-GAN 20; LQAE-like 20; SPAE-like 10." in caption
    assert "Bars: 95 % Wilson intervals over episodes." in caption


def test_runs_without_a_methods_name_are_refused(metrics):
    with pytest.raises(ArtifactError, match="expected a run named as one of v2l, "):
        few_shot_figure.method_points(metrics, {"ablation_order_1": RUNS["ablation_order_1"]})
