"""The figures stage: files, captions, legibility and equal bytes."""

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from v2l.artifacts import read_json, write_rows
from v2l.errors import ArtifactError
from v2l.report import figures as figures_module
from v2l.report.saver import house_style, save_figure

PRINTED_WIDTH_IN = 6.875


@pytest.fixture(scope="module")
def folder(results):
    return results / "figures"


def test_each_figure_is_a_picture_a_vector_file_and_a_caption(folder):
    index = read_json(folder / "index.json")
    assert [item["name"] for item in index] == ["fig1", "fig2", "fig3", "fig4", "fig5"]
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


def test_equal_input_gives_equal_bytes_whatever_the_users_own_settings(own_results, folder, digests):
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black"}):
        again = own_results.figures("figures-again")
    assert digests(again) == digests(folder)


def test_no_text_is_below_8_points_and_width_is_the_printed_one(own_results, monkeypatch):
    drawn: list[Figure] = []

    monkeypatch.setattr(figures_module, "save_figure", lambda figure, *_: drawn.append(figure) or {})
    own_results.figures("figures-kept")
    assert len(drawn) == 5
    for figure in drawn:
        assert figure.get_size_inches()[0] == PRINTED_WIDTH_IN
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 8


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
        ("data/manifest.parquet", lambda frame: frame[frame["split"] == "train"], "expected held-out pictures"),
        ("reconstruct/examples.parquet", lambda frame: frame.iloc[:0], "expected pictures, found none"),
        ("tokenizer/curves.csv", lambda frame: frame.iloc[:0], "expected a column with logged values beside step"),
        ("tokens/usage.parquet", lambda frame: frame.drop(columns="count"), r"expected column\(s\) count"),
    ],
)  # fmt: skip
def test_artifact_with_nothing_to_draw_is_refused_by_name(own_results, name, edit, message):
    read = pd.read_csv if name.endswith(".csv") else pd.read_parquet
    write_rows(own_results / name, edit(read(own_results / name)))
    with pytest.raises(ArtifactError, match=rf"{name}: {message}"):
        own_results.figures()


def test_metrics_and_report_run_without_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from report.conftest import make_results; "
        "from v2l.report.trace import trace; "
        "results = make_results(Path(sys.argv[1])); results.tables(); results.figures(); results.page(); "
        "trace(results / 'tables/index.json', 'table3', 'V2L, this run', 'psnr'); sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "demo")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
