"""The chain of jobs behind an artifact."""

import shutil

from v2l.artifacts import sha256_file
from v2l.report.provenance import history, job_name

from .conftest import RUNS


def test_jobs_are_listed_once_each_with_those_they_need_before_them(results):
    past = history(results.root, [results / "classify/metrics.json", results / "tokens/metrics.json"])
    jobs = ["emoji", *(f"classify {run}" for run in sorted(RUNS)), "classify-metrics", "usage"]
    assert [job_name(record) for record in past.records] == jobs


def test_file_without_provenance_ends_its_chain_as_a_source(results):
    past = history(results.root, [results / "semantics/metrics.json"])
    rows = results / "semantics/rows.parquet"
    assert past.sources == {"results/demo/semantics/rows.parquet": sha256_file(rows)}


def test_parameters_of_all_jobs_are_gathered(results):
    past = history(results.root, [results / "classify/metrics.json"])
    assert past.parameters["data"]["heldout_family"] == "noto"
    assert {name: len(past.parameters[f"fewshot.runs.{name}"]["settings"]) for name in ("v2l", "spae")} == {
        "v2l": 7, "spae": 3,
    }  # fmt: skip


def test_moved_folder_keeps_its_history(results, tmp_path):
    moved = shutil.copytree(results.root, tmp_path / "elsewhere")
    assert len(history(moved, [moved / "classify/metrics.json"]).records) == 2 + len(RUNS)


def test_artifact_without_provenance_has_no_history(results):
    past = history(results.root, [results / "clip/metrics.json"])
    assert (past.records, past.sources) == ([], {})
