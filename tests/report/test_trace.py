"""A cell can be followed to its rows and the run that made them."""

import pytest

from v2l.artifacts import read_json, write_json
from v2l.errors import ArtifactError
from v2l.report.trace import trace


@pytest.fixture(scope="module")
def index(results):
    return results / "tables/index.json"


def test_computed_cell_leads_to_metric_rows_prompt_and_run(index, results):
    text = trace(index, "table1", "V2L, 5-way, Kg=5", "induction, K=3, repeats=0")
    key = "accuracy | 5-way | Kg=5 | induction, K=3, repeats=0"
    entry = read_json(results / "classify/metrics.json")[key]
    for part in (
        f"metrics file: {results / 'classify/metrics.json'}",
        f"key: {key}",
        f"value: {entry['value']} fraction",
        f"interval: [{entry['low']}, {entry['high']}] (95 % Wilson interval)",
        f"computed from 20 row(s) of {results / 'classify/predictions.parquet'}",
        "query_id: noto/ant",
        "    Input: < words of ant >",
        "classify: code 0.1.0+abc123, seed 3",
    ):
        assert part in text
    assert text.index("emoji: code") < text.index("classify-metrics: code")
    assert text.count("query_id") == 3


def test_column_may_be_given_as_printed(index):
    assert trace(index, "table3", "V2L, this run", "PSNR (dB) ↑") == trace(index, "table3", "V2L, this run", "psnr")


def test_value_from_arrays_names_their_file(index, results):
    text = trace(index, "table3", "V2L, this run", "frechet_vgg16")
    assert f"computed from: {results / 'reconstruct/features.safetensors'} (arrays)" in text


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
        ("table9", "V2L, this run", "fid", "expected a table of table1; table2; table3, found 'table9'"),
        ("table3", "V2L", "fid", r"expected a row of table3 \(V2L, this run; .*found 'V2L'"),
        ("table3", "V2L, this run", "IS", r"expected a column of table3 \(psnr; .*found 'IS'"),
    ],
)
def test_cell_that_does_not_exist_is_refused_with_those_that_do(index, table, row, column, message):
    with pytest.raises(ArtifactError, match=message):
        trace(index, table, row, column)


def test_metrics_changed_since_the_tables_were_made_are_refused(own_results):
    index = own_results / "tables/index.json"
    write_json(own_results / "classify/metrics.json", {})
    with pytest.raises(ArtifactError, match=r"expected key 'accuracy .* run the stage tables again"):
        trace(index, "table1", "V2L, 2-way, Kg=5", "average")
