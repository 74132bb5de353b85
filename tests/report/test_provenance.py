"""The chain of stages behind an artifact."""

import shutil

from v2l.artifacts import sha256_file
from v2l.report.provenance import history


def test_stages_are_listed_once_each_with_those_they_need_before_them(results):
    past = history(results.root, [results / "classify/metrics.json", results / "tokens/metrics.json"])
    stages = ["emoji", "global-tokens", "classify", "classify-metrics", "usage"]
    assert [record["stage"] for record in past.records] == stages


def test_file_without_provenance_ends_its_chain_as_a_source(results):
    past = history(results.root, [results / "reconstruct/metrics.json"])
    rows = results / "reconstruct/rows.parquet"
    assert past.sources == {"results/demo/reconstruct/rows.parquet": sha256_file(rows)}


def test_parameters_of_all_stages_are_gathered(results):
    past = history(results.root, [results / "classify/metrics.json"])
    assert past.parameters["data"]["heldout_family"] == "noto"
    assert len(past.parameters["fewshot"]["settings"]) == 7


def test_moved_folder_keeps_its_history(results, tmp_path):
    moved = shutil.copytree(results.root, tmp_path / "elsewhere")
    assert len(history(moved, [moved / "classify/metrics.json"]).records) == 4


def test_artifact_without_provenance_has_no_history(results):
    past = history(results.root, [results / "clip/metrics.json"])
    assert (past.records, past.sources) == ([], {})
