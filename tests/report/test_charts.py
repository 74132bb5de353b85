"""What the charts draw is what the artifacts hold."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError
from v2l.report import charts
from v2l.report.saver import house_style


@pytest.fixture
def usage():
    rows = [
        ("local", "heldout", 5, 1, 30), ("local", "heldout", 9, 1, 10), ("local", "train", 5, 1, 7),
        ("best global", "heldout", 0, 1, 3), ("best global", "heldout", 1, 3, 1), ("best global", "train", 1, 3, 90),
        ("global", "heldout", 0, 1, 4), ("global", "heldout", 1, 3, 4), ("global", "heldout", 2, 2, 8),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["kind", "split", "code", "order", "count"])


@pytest.fixture
def curves():
    v2l = {"step": [0, 10, 20], "total": [3.0, 2, -1], "reconstruction": [0.3, 0.2, 0.1], "codes_in_batch": [5, 6, 7]}
    vqgan = {"step": [0, 10, 20], "total": [4.0, 3, 2], "reconstruction": [0.4, np.nan, 0.05]}
    return {"v2l": pd.DataFrame(v2l), "vqgan": pd.DataFrame(vqgan)}


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


def test_each_term_has_a_panel_with_a_line_for_each_tokenizer_that_logs_it(curves):
    with house_style():
        figure = charts.curves_figure(curves)
    drawn = {axis.get_title(loc="left"): axis.lines for axis in figure.axes if axis.axison}
    assert {name: len(lines) for name, lines in drawn.items()} == {
        "Total loss ↓": 2, "Reconstruction loss ↓": 2, "Codes in use in a batch": 1,
    }  # fmt: skip
    np.testing.assert_array_equal(drawn["Reconstruction loss ↓"][1].get_xydata(), [[0, 0.4], [20, 0.05]])


def test_a_tokenizer_differs_by_dash_and_not_by_colour_alone(curves):
    with house_style():
        figure = charts.curves_figure(curves)
    first = figure.axes[0].lines
    assert len({line.get_linestyle() for line in first}) == len({line.get_color() for line in first}) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["V2L", "VQ-GAN"]


def test_a_loss_is_logarithmic_unless_it_falls_below_zero_and_counts_start_at_zero(curves):
    with house_style():
        figure = charts.curves_figure(curves)
    total, reconstruction, codes, _ = figure.axes
    assert [axis.get_yscale() for axis in (total, reconstruction, codes)] == ["linear", "log", "linear"]
    assert codes.get_ylim()[0] == 0


def test_curves_caption_ranks_tokenizers_by_their_last_reconstruction_loss(curves):
    caption = charts.curves_caption(curves, seed=0)
    assert "reconstruction loss of the last logged batch, lowest first: VQ-GAN 0.05, V2L 0.1." in caption
    assert "3 logged steps up to step 20" in caption


def test_curves_are_read_by_tokenizer_in_the_readers_order(tmp_path, curves):
    files = [tmp_path / f"curves_{name}.csv" for name in ("zebra", "vqgan", "v2l")]
    for file in files:
        write_rows(file, curves["vqgan"].assign(epoch=0.0))
    read = charts.read_curves(files)
    assert list(read) == ["v2l", "vqgan", "zebra"]
    assert list(read["v2l"].columns) == ["step", "total", "reconstruction"]


def test_curves_file_with_a_strange_name_is_refused(tmp_path, curves):
    write_rows(tmp_path / "v2l.csv", curves["v2l"])
    with pytest.raises(ArtifactError, match=r"v2l\.csv: expected a name as curves_<tokenizer>\.csv"):
        charts.read_curves([tmp_path / "v2l.csv"])
