"""A cell can be followed to its rows and the run that made them."""

import pytest

from v2l.artifacts import read_json, write_json
from v2l.errors import ArtifactError
from v2l.report.trace import trace

SPAE_CLAIM = "V2L's words serve few-shot classification better than the tokens of SPAE-like. (few_shot_beats_spae)"
LQAE_CLAIM = "V2L's words serve few-shot classification better than the tokens of LQAE-like. (few_shot_beats_lqae)"


@pytest.fixture(scope="module")
def index(results):
    return results / "tables/index.json"


def test_computed_cell_leads_to_metric_rows_prompt_and_run(index, results):
    text = trace(index, "table1", "V2L, 5-way, Kg=5", "induction, K=3, repeats=0")
    key = "accuracy | v2l | 5-way | Kg=5 | induction, K=3, repeats=0"
    entry = read_json(results / "classify/metrics.json")[key]
    for part in (
        f"metrics file: {results / 'classify/metrics.json'}",
        f"key: {key}",
        f"value: {entry['value']} fraction",
        f"interval: [{entry['low']}, {entry['high']}] (95 % Wilson interval)",
        f"computed from 20 row(s) of {results / 'classify/predictions_v2l.parquet'}",
        "query_id: noto/ant",
        "    Input: < words of ant >",
        "classify v2l: code 0.1.0+abc123, seed 3",
    ):
        assert part in text
    assert text.index("emoji: code") < text.index("classify-metrics: code")
    assert text.count("query_id") == 3


@pytest.mark.parametrize(
    ("table", "row", "column", "rows"),
    [
        ("table2", "up to trigrams (V2L), Kg=5", "clip", "8 row(s) of {}/semantics/rows.parquet"),
        ("table4", "shift: SPAE-like, restored", "tokens_restored", "8 row(s) of {}/restore/rows_spae.parquet"),
        ("table5", "random words", "rouge_l", "8 row(s) of {}/caption/predictions.parquet"),
        ("table6", "majority answer", "yes/no", "4 row(s) of {}/vqa/predictions.parquet"),
        ("table7", "after tuning", "psnr", "8 row(s) of {}/masked/rows.parquet"),
        ("ablations", "Kg = 11", "2-way", "20 row(s) of {}/classify/predictions_ablation_num_global.parquet"),
    ],
)
def test_cell_of_every_experiment_leads_to_its_rows(index, results, table, row, column, rows):
    assert f"computed from {rows.format(results.root)} where" in trace(index, table, row, column)


def test_column_may_be_given_as_printed(index):
    assert trace(index, "table3", "V2L, this run", "PSNR (dB) ↑") == trace(index, "table3", "V2L, this run", "psnr")


def test_value_from_arrays_names_their_file(index, results):
    text = trace(index, "table3", "V2L, this run", "frechet_vgg16")
    assert f"computed from: {results / 'reconstruct/features_v2l.safetensors'} (arrays)" in text


def test_claim_leads_to_its_record_and_to_all_files_behind_it(index, results):
    text = trace(index, "claims", SPAE_CLAIM, "verdict")
    claim = next(item for item in read_json(results / "claims/claims.json") if item["id"] == "few_shot_beats_spae")
    for part in (
        "verdict: contradicted\n",
        "key: few_shot_beats_spae",
        f"statistic: {claim['statistic']}",
        f"value: {claim['value']} points",
        f"interval: [{claim['low']}, {claim['high']}] (95 % t-interval, paired)",
        f"verdict: contradicted ({claim['scale']})",
        f"computed from: {results / 'classify/predictions_v2l.parquet'} (560 rows)",
        f"computed from: {results / 'classify/predictions_spae.parquet'} (240 rows)",
        "claims: code 0.1.0+abc123, seed 3",
    ):
        assert part in text


def test_claim_without_value_says_why_it_was_not_tested(index):
    text = trace(index, "claims", LQAE_CLAIM, "value")
    assert "verdict: not tested here (no few-shot run of this baseline)" in text
    assert "\nvalue: " not in text
    assert "computed from" not in text


def test_claim_whose_rows_are_gone_is_refused_by_name(own_results):
    (own_results / "classify/predictions_spae.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"predictions_spae\.parquet: file not found"):
        trace(own_results / "tables/index.json", "claims", SPAE_CLAIM, "n")


def test_published_cell_leads_to_its_source(index):
    text = trace(index, "table3", "VQ-GAN, published", "fid")
    assert text.splitlines() == ["table3 | VQ-GAN, published | fid: 5.48", "published: A paper, table 3"]


def test_dash_says_that_there_is_no_value(index):
    assert trace(index, "table3", "V2L, this run", "fid").endswith(
        "no value: not computed, and no published number on record"
    )


def test_values_without_provenance_say_so(own_results):
    (own_results / "classify/metrics.json.provenance.json").unlink()
    text = trace(own_results / "tables/index.json", "table1", "V2L, 2-way, Kg=5", "average")
    assert "provenance: none beside" in text


@pytest.mark.parametrize(
    ("table", "row", "column", "message"),
    [
        ("table9", "V2L, this run", "fid", r"expected a table of table1; table2; .*claims, found 'table9'"),
        ("table3", "V2L", "fid", r"expected a row of table3 \(V2L, this run; .*found 'V2L'"),
        ("table3", "V2L, this run", "IS", r"expected a column of table3 \(psnr; .*found 'IS'"),
    ],
)
def test_cell_that_does_not_exist_is_refused_with_those_that_do(index, table, row, column, message):
    with pytest.raises(ArtifactError, match=message):
        trace(index, table, row, column)


@pytest.mark.parametrize(
    ("file", "content", "cell"),
    [
        ("classify/metrics.json", {}, ("table1", "V2L, 2-way, Kg=5", "average")),
        ("claims/claims.json", [], ("claims", SPAE_CLAIM, "value")),
    ],
)
def test_metrics_changed_since_the_tables_were_made_are_refused(own_results, file, content, cell):
    write_json(own_results / file, content)
    with pytest.raises(ArtifactError, match=r"expected key '.* run the stage tables again"):
        trace(own_results / "tables/index.json", *cell)
