"""Tables show what the metrics files hold, and every cell leads back to them."""

import csv
import re

import pandas as pd
import pytest

from v2l.artifacts import read_json, read_rows, write_json
from v2l.errors import ArtifactError
from v2l.graph.report import TABLE_NAMES
from v2l.metrics.entries import select_rows
from v2l.report.display import DASH, DISPLAYS
from v2l.report.tables import read_published

from .conftest import ALL_NUM_GLOBAL, CODEBOOKS, RESTORATION, RESTORING, RUNS, TASKS, TOKENIZERS

ONE_SHOT = "induction, K=1, repeats=0"
# Columns that are not called as their measure, and measures whose rows have it under another name.
MEASURES = {"table1": "accuracy", "table6": "vqa_accuracy"}
ROW_COLUMNS = {"accuracy": "correct", "vqa_accuracy": "accuracy"}


@pytest.fixture(scope="module")
def folder(results):
    return results / "tables"


@pytest.fixture(scope="module")
def index(folder):
    return {table["name"]: table for table in read_json(folder / "index.json")}


def _cell(table, row, column):
    return next(cell for cell in table["cells"] if (cell["row"], cell["column"]) == (row, column))


def _rows(table):
    return list(dict.fromkeys(cell["row"] for cell in table["cells"]))


def _remake(results, family, change):
    """The tables by name after a change of the entries of a metrics file."""
    file = results / family / "metrics.json"
    metrics = read_json(file)
    change(metrics)
    write_json(file, metrics)
    return {table["name"]: table for table in read_json(results.tables() / "index.json")}


def test_tables_are_those_that_the_graph_declares(index):
    assert tuple(index) == TABLE_NAMES


def test_every_computed_cell_is_its_metrics_entry_and_the_mean_of_its_rows(index, results):
    counts = dict.fromkeys(TABLE_NAMES, 0)
    for name, table in index.items():
        for cell in table["cells"]:
            if cell["metric_key"] is None:
                assert cell["text"] == DASH or cell["source"]
            elif name != "claims":
                _check_cell(name, cell, results)
                counts[name] += 1
    decisions = sum(
        len(run.num_global) * len(run.settings) * len(run.ways or (2, 5)) for run in map(RUNS.get, ("v2l", "spae"))
    )
    assert counts == {
        "table1": decisions + 1 + 4,  # VQ-GAN has one, V2L four averages
        "table2": len(CODEBOOKS) * len(ALL_NUM_GLOBAL) * 3,
        "table3": len(TOKENIZERS) * 5,
        "table4": len(TASKS) * (len(RESTORING) + len(RESTORATION) - 1) * 6,
        "table5": 9,
        "table6": 9,
        "table7": 5 * 5 - 1,
        "ablations": 2 * 6 + 3 * (4 + len(CODEBOOKS)) + 3 * 2,
        "claims": 0,
    }


def _check_cell(name, cell, results):
    entry = read_json(results / cell["metrics_file"])[cell["metric_key"]]
    measure = MEASURES.get(name, "accuracy" if cell["column"].endswith("-way") else cell["column"])
    scale = DISPLAYS[measure].scale
    assert cell["value"] == entry["value"] * scale
    assert cell["rows"] == entry["rows"]
    if cell["column"] != "frechet_vgg16":
        where, column = cell["rows"]["where"], ROW_COLUMNS.get(measure, measure)
        rows = select_rows(read_rows(results / cell["rows"]["file"], [column, *where]), where)
        # float64 means in two orders of summation.
        assert cell["value"] == pytest.approx(rows[column].mean() * scale, rel=1e-12)


def test_table1_has_method_by_ways_by_kg_rows_and_a_column_a_setting_and_their_average(index):
    table = index["table1"]
    assert table["columns"] == [*(setting.name for setting in RUNS["v2l"].settings), "average"]
    assert _rows(table) == [
        "V2L, 2-way, Kg=5", "V2L, 2-way, Kg=21", "V2L, 5-way, Kg=5", "V2L, 5-way, Kg=21", "VQ-GAN, 2-way, Kg=256",
        "SPAE-like, 2-way, Kg=5", "SPAE-like, 2-way, Kg=21", "SPAE-like, 5-way, Kg=5", "SPAE-like, 5-way, Kg=21",
    ]  # fmt: skip
    assert table["corner"] == "Accuracy (%) ↑"


def test_method_without_all_settings_has_dashes_for_the_others_and_for_the_average(index, results):
    table = index["table1"]
    assert _cell(table, "SPAE-like, 5-way, Kg=5", ONE_SHOT)["value"] is not None
    for column in ("induction, K=5, repeats=0", "average"):
        assert _cell(table, "SPAE-like, 5-way, Kg=5", column)["text"] == DASH
    assert "accuracy | spae | 5-way | Kg=5 | average" in read_json(results / "classify/metrics.json")


def test_ablations_show_what_varies_and_dash_what_does_not_apply(index):
    table = index["ablations"]
    assert _rows(table) == [
        "Kg = 1", "Kg = 5", "Kg = 11", "Kg = 21", "codebook: single tokens, Kg = 5", "codebook: up to bigrams, Kg = 5",
        "codebook: up to trigrams (V2L), Kg = 5", "codebook: up to trigrams, not filtered, Kg = 5", "tokenizer: V2L",
        "tokenizer: V2L without projector", "tokenizer: V2L without global tokens",
    ]  # fmt: skip
    keys = {
        "Kg = 11": f"accuracy | ablation_num_global | 5-way | Kg=11 | {ONE_SHOT}",
        "Kg = 21": f"accuracy | v2l | 5-way | Kg=21 | {ONE_SHOT}",
        "codebook: single tokens, Kg = 5": f"accuracy | ablation_order_1 | 5-way | Kg=5 | {ONE_SHOT}",
        "codebook: up to bigrams, Kg = 5": None,
        "tokenizer: V2L": None,
    }
    assert {row: _cell(table, row, "5-way")["metric_key"] for row in keys} == keys
    assert _cell(table, "Kg = 5", "psnr")["text"] == DASH


def test_missing_metric_and_unpublished_number_are_dashes_never_zero(index):
    fid = _cell(index["table3"], "V2L, this run", "fid")
    assert (fid["text"], fid["value"], fid["metric_key"]) == (DASH, None, None)
    assert _cell(index["table3"], "VQ-GAN, published", "psnr")["text"] == DASH
    assert _cell(index["table7"], "masked tokens", "tokens_restored")["text"] == DASH


def test_metric_that_is_absent_from_its_file_becomes_a_dash(own_results):
    table = _remake(own_results, "classify", lambda found: found.pop("accuracy | v2l | 2-way | Kg=5 | average"))
    assert _cell(table["table1"], "V2L, 2-way, Kg=5", "average")["text"] == DASH
    row = pd.read_csv(own_results / "tables/table1.csv").query("row == 'V2L, 2-way, Kg=5' and column == 'average'")
    assert row["value"].isna().all()


@pytest.mark.parametrize("family", ["classify", "semantics", "reconstruct", "restore", "caption", "vqa", "masked"])
def test_one_measure_alone_of_one_item_alone_still_makes_tables(own_results, family):
    def keep_first(metrics):
        for key in list(metrics)[1:]:
            del metrics[key]

    assert _remake(own_results, family, keep_first)["claims"]["cells"]


def test_published_numbers_stand_in_rows_of_their_own_with_their_source(index):
    cell = _cell(index["table3"], "VQ-GAN, published", "fid")
    assert (cell["text"], cell["source"]) == ("5.48", "A paper, table 3")
    assert _cell(index["table2"], "V2L, published", "codebook_size")["text"] == "11,908"
    assert "at the paper's own scale" in index["table3"]["caption"]
    assert "No published number" in index["table1"]["caption"]


def test_caption_says_items_interval_seed_and_protocol(index):
    for part in (
        "Brackets: 95 % Wilson interval over 20 episodes.", "Seed 3",
        "joined by ', ', those of VQ-GAN joined by nothing", "one of the class names", "chance 20.0",
    ):  # fmt: skip
        assert part in index["table1"]["caption"]
    assert "Wilson interval over 4 or 8 questions" in index["table6"]["caption"]
    for name, table in index.items():
        assert "Seed 3." in table["caption"]
        assert "To see" in table["caption"] or name == "claims"


def test_what_restoration_does_not_better_is_said_from_the_figures(own_results, index):
    everywhere = ", ".join(TASKS)
    caption = index["table4"]["caption"]
    assert f"are no nearer to the clean picture than the degraded ones in {everywhere};" in caption
    assert "right tokens, restored / degraded / random: inpainting 30.0 / 50.0 / 0.0 %, outpainting " in caption

    def swap(metrics):
        metrics["lpips_vgg | v2l | rotation | restored"]["value"] = 0.0
        metrics["tokens_restored | v2l | shift | restored"]["value"] = 0.012

    caption = _remake(own_results, "restore", swap)["table4"]["caption"]
    assert "the degraded ones in rotation and no nearer in inpainting, outpainting, deblurring, shift;" in caption
    assert "shift 1.2 / 50.0 / 0.0 %." in caption


def test_floor_that_is_not_bettered_is_named(index):
    assert "better than random words (25.0), no better than majority answer (87.5)." in index["table6"]["caption"]
    assert "40.0 %, better than before tuning (10.0) and random tokens (0.0)." in index["table7"]["caption"]


def test_claims_have_value_interval_and_verdict_of_their_record(index, results):
    records = read_json(results / "claims/claims.json")
    assert len(index["claims"]["cells"]) == 5 * len(records)
    for claim in records:
        row = f"{claim['claim']} ({claim['id']})"
        value = _cell(index["claims"], row, "value")
        assert [value[name] for name in ("value", "low", "high", "metric_key")] == [
            claim["value"], claim["low"], claim["high"], claim["id"]
        ]  # fmt: skip
        assert value["files"] == claim["rows"]
        assert _cell(index["claims"], row, "verdict")["text"] == claim["verdict"]
    verdicts = {claim["id"]: claim["verdict"] for claim in records}
    assert (verdicts["few_shot_beats_spae"], verdicts["few_shot_beats_lqae"]) == ("contradicted", "not tested here")


def test_contradicted_claim_is_set_in_bold_and_named_and_an_untested_one_has_dashes(index, folder):
    row = "V2L's words serve few-shot classification better than the tokens of {}. ({})"
    spae, lqae = (
        row.format(*names) for names in (("SPAE-like", "few_shot_beats_spae"), ("LQAE-like", "few_shot_beats_lqae"))
    )
    assert re.fullmatch(r"-\d\d\.\d \[-\d\d\.\d, -\d\d\.\d\] points", _cell(index["claims"], spae, "value")["text"])
    assert [_cell(index["claims"], lqae, column)["text"] for column in ("value", "n")] == [DASH, DASH]
    assert re.search(
        r"\d+ supported, 2 contradicted, .* Contradicted: few_shot_beats_spae,", index["claims"]["caption"]
    )
    line = next(line for line in (folder / "claims.md").read_text().splitlines() if "few_shot_beats_spae)" in line)
    assert "**contradicted**" in line
    line = next(line for line in (folder / "claims.tex").read_text().splitlines() if r"beats\_spae)" in line)
    assert r"\textbf{contradicted}" in line


def test_csv_has_a_row_a_cell_with_four_digits(folder, index):
    with (folder / "table1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 * 8
    cell = _cell(index["table1"], "V2L, 5-way, Kg=5", "average")
    row = next(row for row in rows if (row["row"], row["column"]) == (cell["row"], "average"))
    assert float(row["low"]) == round(cell["low"], 4)
    assert (row["unit"], row["n"], row["text"]) == ("%", "20", cell["text"])
    assert row["source"] == "classify/metrics.json: accuracy | v2l | 5-way | Kg=5 | average"


def test_markdown_shows_values_with_intervals_below_arrows(folder, index):
    lines = (folder / "table3.md").read_text().splitlines()
    assert lines[0].startswith("**Table 3. Reconstruction.** ")
    assert (folder / "ablations.md").read_text().startswith("**Ablations.** ")
    psnr = _cell(index["table3"], "V2L, this run", "psnr")["text"]
    assert psnr.count("[") == 1
    header = next(line for line in lines if line.startswith("|"))
    assert [part.strip() for part in header.split("|")][2] == "PSNR (dB) ↑"
    row = next(line for line in lines if line.startswith("| V2L, this run"))
    assert [part.strip() for part in row.split("|")][2] == psnr


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_latex_is_balanced_and_escaped_and_every_line_has_as_many_cells(name, folder, index):
    text = (folder / f"{name}.tex").read_text()
    long = r"\begin{longtable}" in text
    assert long == (len(_rows(index[name])) > 25)
    # No bracket right after a line end, where LaTeX would read it as a length.
    assert not re.search(r"\\\\\s*\[", text)
    plain = text.replace(r"\\", "\n").replace(r"$\uparrow$", "").replace(r"$\downarrow$", "")
    for opening, closing in ("{}", "[]"):
        assert len(_unescaped(opening, plain)) == len(_unescaped(closing, plain)) > 0
    for sign in "_#$^":
        assert _unescaped(sign, plain) == []
    assert not set(text) & {"↑", "↓", DASH}
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert begun == ended[::-1] == (["longtable"] if long else ["table", "tabular"])
    body = text.split(r"\endlastfoot" if long else r"\midrule")[1]
    lines = [line for line in body.splitlines() if line.endswith(r" \\")]
    assert len(lines) == len(_rows(index[name]))
    for line in lines:
        assert len(_unescaped("&", line)) == len(index[name]["columns"])


def _unescaped(sign, text):
    return re.findall(rf"(?<!\\){re.escape(sign)}", text)


def test_latex_is_no_wider_than_a_page(folder, index):
    """Fixed widths and gaps sum to at most 16.5 cm; eight columns of numbers are set smaller than seven."""
    gap_cm = 2 * 3 / 72.27 * 2.54
    text = (folder / "claims.tex").read_text()
    widths = [float(width) for width in re.findall(r"p\{([\d.]+)cm\}", text.splitlines()[1])]
    assert len(widths) == 1 + len(index["claims"]["columns"])
    assert sum(widths) + len(widths) * gap_cm < 16.5
    assert r"\scriptsize" in (folder / "table1.tex").read_text()
    for name in ("table4", "ablations"):
        assert r"\footnotesize" in (folder / f"{name}.tex").read_text()


def test_equal_input_gives_equal_bytes(own_results, folder, digests):
    assert digests(own_results.tables("tables-again")) == digests(folder)


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
