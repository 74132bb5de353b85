"""The figures stage: files, captions, legibility, partial inputs and equal bytes."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from v2l.artifacts import read_json, sha256_file, write_json, write_rows
from v2l.config.figures import FiguresConfig
from v2l.errors import ArtifactError
from v2l.graph.report import FIGURE_NAMES
from v2l.report import figures as figures_module
from v2l.report.saver import house_style, save_figure

from .figure_data import RUNS, FigureData

PRINTED_WIDTH_IN = 6.875
OTHER_PROCESS = """
import sys
from pathlib import Path

import matplotlib
from report.figure_data import FigureData

with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black"}):
    FigureData(Path(sys.argv[1])).figures(folder=sys.argv[2])
print("torch:", "torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def data(figure_data, tmp_path_factory):
    """With its figures; tests leave it as it is."""
    made = FigureData(shutil.copytree(figure_data.root, tmp_path_factory.mktemp("figures") / "demo"))
    made.figures()
    return made


@pytest.fixture(scope="module")
def again(data, tmp_path_factory):
    """The folder of figures made of the same data by a process with other settings, and what that prints."""
    folder = tmp_path_factory.mktemp("again")
    command = [sys.executable, "-c", OTHER_PROCESS, str(data.root), str(folder)]
    done = subprocess.run(command, check=True, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)
    return folder, done.stdout


@pytest.fixture
def own_data(figure_data, tmp_path):
    """One that a test may change."""
    return FigureData(shutil.copytree(figure_data.root, tmp_path / "demo"))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are made, kept and not saved, by name."""
    kept: dict[str, Figure] = {}
    monkeypatch.setattr(figures_module, "save_figure", lambda figure, _, name: kept.update({name: figure}) or {})
    return kept


def test_each_figure_is_a_picture_a_vector_file_and_a_caption(data):
    folder = data / "figures"
    index = read_json(folder / "index.json")
    assert tuple(item["name"] for item in index) == FIGURE_NAMES
    for item in index:
        with Image.open(folder / item["png"]) as image:
            assert image.size[0] == pytest.approx(PRINTED_WIDTH_IN * 300, abs=1)
            assert np.asarray(image.convert("L")).std() > 5
        pdf = (folder / item["pdf"]).read_bytes()
        assert pdf.startswith(b"%PDF")
        # TrueType programs are embedded; Type 3 fonts are refused by many publishers.
        assert b"/FontFile2" in pdf
        assert b"/Type3" not in pdf
        caption = (folder / f"{item['name']}.txt").read_text()
        assert item["caption"] in caption
        for part in ("To see: ", "Seed 3.", "error bars" if "ars: 95 %" not in caption else "Bars: 95 %"):
            assert part in caption


def test_the_papers_figures_bear_its_numbers(data):
    assert (data / "figures/fig7.txt").read_text().startswith("Figure 7. Restoration in context. ")
    assert (data / "figures/curves.txt").read_text().startswith("Figure. Training curves. ")


def test_equal_input_gives_equal_bytes_whatever_the_users_own_settings(data, again):
    files = {path.name: sha256_file(path) for path in sorted(again[0].iterdir())}
    assert files == {path.name: sha256_file(path) for path in sorted((data / "figures").iterdir())}


def test_figures_are_made_without_torch(again):
    assert again[1] == "torch: False\n"


def test_no_text_is_below_8_points_and_width_is_the_printed_one(data, drawn, tmp_path):
    data.figures(folder=str(tmp_path / "kept"))
    assert tuple(drawn) == FIGURE_NAMES
    for figure in drawn.values():
        assert figure.get_size_inches()[0] == PRINTED_WIDTH_IN
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 8


def test_no_text_leaves_the_page(data, drawn, tmp_path):
    data.figures(folder=str(tmp_path / "kept"))
    for name, figure in drawn.items():
        with house_style():
            figure.draw_without_rendering()
        # Labels of ticks outside the axes exist and are not drawn.
        ticks = [tick for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_major_ticks()]
        labels = {id(label) for tick in ticks for label in (tick.label1, tick.label2)}
        for text in figure.findobj(Text):
            if text.get_text().strip() and id(text) not in labels:
                box = text.get_window_extent()
                # A pixel of room for rounding.
                assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, (name, text.get_text())
                assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, (name, text.get_text())


def test_figures_are_made_of_whatever_tokenizers_runs_and_tasks_there_are(own_data, drawn):
    part = FigureData(own_data.root, tokenizers=("lqae",), restored=("vqgan", "lqae"), runs={"v2l": RUNS["v2l"]})
    name = part / "restore/examples_vqgan.parquet"
    rows = pd.read_parquet(name)
    write_rows(name, rows[rows["task"] == "shift"])
    for metrics in ("semantics", "reconstruct", "restore", "masked"):
        write_json(part / metrics / "metrics.json", {})
    folder = part.figures(config=FiguresConfig(num_pictures=1, num_words=1, num_answers=1))
    assert tuple(drawn) == FIGURE_NAMES
    captions = {item["name"]: item["caption"] for item in read_json(folder / "index.json")}
    assert "not measured in this run" in captions["reconstruction"]
    assert "not measured in this run" in captions["fig7"]
    assert "not measured in this run" in captions["fig8"]
    notes = [text.get_text() for axis in drawn["ablation"].axes for text in axis.texts]
    assert notes == ["not in this run"] * 4


def test_points_for_other_plotters_are_those_of_every_run_in_per_cent(data):
    points = pd.read_csv(data / "figures/few_shot.csv")
    metrics = read_json(data / "classify/metrics.json")
    assert len(points) == len(metrics)
    row = points.set_index(["run", "ways", "num_global", "setting"]).loc[("spae", 5, 21, "average")]
    entry = metrics["accuracy | spae | 5-way | Kg=21 | average"]
    assert row["value"] == pytest.approx(100 * entry["value"])
    assert row["n"] == entry["n"]
    assert points["run"].drop_duplicates().tolist()[:4] == ["v2l", "vqgan", "lqae", "spae"]


def test_saved_files_carry_no_date_or_program_version(tmp_path):
    with house_style():
        figure = Figure()
        figure.subplots().plot([0, 1])
        names = save_figure(figure, tmp_path, "fig")
    with Image.open(tmp_path / names["png"]) as image:
        assert "Software" not in image.info
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert b"CreationDate" not in (tmp_path / names["pdf"]).read_bytes()


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("data/manifest.parquet", lambda frame: frame.assign(split="train"), "expected held-out pictures"),
        ("reconstruct/examples_v2l.parquet", lambda frame: frame.iloc[:0], "expected pictures, found none"),
        ("masked/examples.parquet", lambda frame: frame.iloc[:0], "expected pictures, found none"),
        ("masked/examples.parquet", lambda frame: frame.assign(after=b"no"), "picture noto/cloud cannot be decoded"),
        ("restore/examples_lqae.parquet", lambda frame: frame.drop(columns="task"), r"expected column\(s\) task"),
        ("tokenizer/curves_spae.csv", lambda frame: frame.iloc[:0], "expected logged values in a column of total"),
        ("tokens/usage.parquet", lambda frame: frame.drop(columns="count"), r"expected column\(s\) count"),
        ("data/manifest.parquet", lambda frame: frame.iloc[1:], "expected a row for picture noto/ant, found none"),
        ("caption/predictions.parquet", lambda frame: frame.iloc[-8:], "column condition: expected some rows with"),
        ("vqa/predictions.parquet", lambda frame: frame.iloc[-8:], "column condition: expected some rows with"),
        ("tokens/global_orders_1_3.parquet", lambda frame: frame.iloc[1:], "expected a row for picture noto/ant"),
    ],
)  # fmt: skip
def test_artifact_with_nothing_to_draw_is_refused_by_name(own_data, drawn, name, edit, message):
    read = pd.read_csv if name.endswith(".csv") else pd.read_parquet
    write_rows(own_data / name, edit(read(own_data / name)))
    with pytest.raises(ArtifactError, match=rf"{name}: {message}"):
        own_data.figures()
    assert not drawn
