from v2l.metrics.entries import metric_key, relative_name


def test_metric_key_has_one_grammar():
    expected = "accuracy | 5-way | Kg=5 | induction, K=1, repeats=0"
    assert metric_key("accuracy", num_global=5, setting="induction, K=1, repeats=0", ways=5) == expected
    assert metric_key("clip", codebook="orders 1-3", num_global=21) == "clip | orders 1-3 | Kg=21"
    assert metric_key("psnr") == "psnr"


def test_rows_are_named_below_the_results_folder(tmp_path):
    assert relative_name(tmp_path / "results" / "demo" / "classify" / "rows.parquet") == "classify/rows.parquet"
