"""Tables show what the metrics files hold, and every cell leads back to them."""

import csv

import pandas as pd
import pytest

from v2l.artifacts import read_json, read_rows, write_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import select_rows
from v2l.report.tables import read_published

from .conftest import FEWSHOT


@pytest.fixture(scope="module")
def folder(results):
    return results / "tables"


@pytest.fixture(scope="module")
def index(folder):
    return {table["name"]: table for table in read_json(folder / "index.json")}


def _cell(table, row, column):
    return next(cell for cell in table["cells"] if (cell["row"], cell["column"]) == (row, column))


def test_table1_has_ways_by_kg_rows_and_a_column_a_setting_and_their_average(index):
    table = index["table1"]
    assert table["columns"] == [*(setting.name for setting in FEWSHOT.settings), "average"]
    assert list(dict.fromkeys(cell["row"] for cell in table["cells"])) == [
        "V2L, 2-way, Kg=5", "V2L, 2-way, Kg=21", "V2L, 5-way, Kg=5", "V2L, 5-way, Kg=21"
    ]  # fmt: skip
    assert table["corner"] == "Accuracy (%) ↑"


def test_every_computed_cell_is_its_metrics_entry_and_the_mean_of_its_rows(index, results):
    scale = {"table1": 100, "table2": 1, "table3": 1}
    computed = 0
    for name, table in index.items():
        for cell in table["cells"]:
            if cell["metric_key"] is None:
                assert cell["text"] == "\N{EN DASH}" or cell["source"]
                continue
            entry = read_json(results / cell["metrics_file"])[cell["metric_key"]]
            assert cell["value"] == entry["value"] * scale[name]
            assert cell["rows"] == entry["rows"]
            if cell["column"] != "frechet_vgg16":
                where = cell["rows"]["where"]
                column = "correct" if name == "table1" else cell["column"]
                rows = select_rows(read_rows(results / cell["rows"]["file"], [column, *where]), where)
                # float64 means in two orders of summation.
                assert cell["value"] == pytest.approx(rows[column].mean() * scale[name], rel=1e-12)
            computed += 1
    assert computed == 4 * 8 + 6 * 3 + 5


def test_missing_metric_and_unpublished_number_are_dashes_never_zero(index):
    fid = _cell(index["table3"], "V2L, this run", "fid")
    assert (fid["text"], fid["value"], fid["metric_key"]) == ("\N{EN DASH}", None, None)
    assert _cell(index["table3"], "VQ-GAN, published", "psnr")["text"] == "\N{EN DASH}"


def test_published_numbers_stand_in_rows_of_their_own_with_their_source(index):
    cell = _cell(index["table3"], "VQ-GAN, published", "fid")
    assert (cell["text"], cell["source"]) == ("5.48", "A paper, table 3")
    assert _cell(index["table2"], "V2L, published", "codebook_size")["text"] == "11,908"
    assert "at the paper's own scale" in index["table3"]["caption"]
    assert "No published number" in index["table1"]["caption"]


def test_caption_says_items_interval_seed_and_protocol(index):
    caption = index["table1"]["caption"]
    for part in ("95 % Wilson interval over 20 episodes", "Seed 3", "joined by ', '", "one of the class names"):
        assert part in caption


def test_csv_has_a_row_a_cell_with_four_digits(folder, index):
    with (folder / "table1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 32
    cell = _cell(index["table1"], "V2L, 5-way, Kg=5", "average")
    row = next(row for row in rows if (row["row"], row["column"]) == (cell["row"], "average"))
    assert float(row["low"]) == round(cell["low"], 4)
    assert (row["unit"], row["n"]) == ("%", "20")
    assert row["source"] == "classify/metrics.json: accuracy | 5-way | Kg=5 | average"


def test_markdown_shows_values_with_intervals_below_arrows(folder, index):
    lines = (folder / "table3.md").read_text().splitlines()
    psnr = _cell(index["table3"], "V2L, this run", "psnr")["text"]
    assert psnr.count("[") == 1
    header = next(line for line in lines if line.startswith("|"))
    assert [part.strip() for part in header.split("|")][2] == "PSNR (dB) ↑"
    row = next(line for line in lines if line.startswith("| V2L, this run"))
    assert [part.strip() for part in row.split("|")][2] == psnr


def test_latex_is_escaped_and_no_interval_can_be_read_as_an_argument(folder):
    text = (folder / "table1.tex").read_text()
    body = text.split(r"\midrule")[1]
    assert r"Accuracy (\%) $\uparrow$" in text
    assert r"95 \% Wilson" in text
    assert r"\\[" not in body
    assert body.count(r"\shortstack{") == 32
    assert text.count("{") == text.count("}")
    assert "↑" not in text
    assert "_" not in (folder / "table2.tex").read_text().replace(r"\_", "")


def test_equal_input_gives_equal_bytes(own_results, folder, digests):
    assert digests(own_results.tables("tables-again")) == digests(folder)


def test_metric_that_is_absent_from_its_file_becomes_a_dash(own_results):
    key = "accuracy | 2-way | Kg=5 | average"
    metrics = read_json(own_results / "classify/metrics.json")
    del metrics[key]
    write_json(own_results / "classify/metrics.json", metrics)
    table = read_json(own_results.tables() / "index.json")[0]
    assert _cell(table, "V2L, 2-way, Kg=5", "average")["text"] == "\N{EN DASH}"
    assert pd.read_csv(own_results / "tables/table1.csv")["value"].isna().sum() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table,row,metric,value\n", r"expected columns .*'source'"),
        ("table,row,metric,value,source\ntable1,SPAE,average,many,A paper\n", "not a readable table .*many"),
        ("table,row,metric,value,source\ntable1,SPAE,average,1.0,\n", "found an empty one on line 2"),
    ],
)
def test_published_file_of_another_form_is_refused(tmp_path, text, message):
    path = tmp_path / "published.csv"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_published(path)
