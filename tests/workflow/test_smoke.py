import pytest

from v2l.artifacts import read_json, sha256_file
from v2l.graph.report import TABLE_NAMES

from .conftest import Checkout


def test_every_stage_ran_and_left_no_temporary_file(smoke: Checkout) -> None:
    assert (smoke.results / "report.html").stat().st_size > 10_000
    for table in TABLE_NAMES:
        for suffix in ("csv", "md", "tex"):
            assert (smoke.results / "tables" / f"{table}.{suffix}").read_text().strip()
    leftovers = [path for path in smoke.results.rglob(".*") if path.name.startswith((".partial", ".scratch"))]
    assert leftovers == []
    assert not list(smoke.results.rglob("shards"))


def test_every_file_has_provenance_that_is_true(smoke: Checkout) -> None:
    records = list(smoke.results.rglob("*.provenance.json"))
    assert len(records) > 15
    for path in records:
        record = read_json(path)
        artifact = path.with_name(path.name.removesuffix(".provenance.json"))
        assert record["sha256"] == sha256_file(artifact)
        for name, digest in record["inputs"].items():
            assert digest == sha256_file(smoke.root / name)


def test_closing_summary_gives_the_main_figures_the_cost_and_the_report(smoke: Checkout) -> None:
    *lines, last = smoke.run("v2l", "summary", "--config", "config/smoke.yaml").stdout.splitlines()
    assert last == "Report: results/smoke/report.html"
    found = {line.split("  ")[1].strip(): line for line in lines[1:]}
    assert {"pictures", "CLIP, zero-shot", "2-way 1-shot", "5-way 1-shot", "reconstruction", "cost"} <= set(found)
    psnr = read_json(smoke.results / "reconstruct" / "metrics.json")["psnr | v2l"]["value"]
    assert f"V2L PSNR {psnr:.2f} [" in found["reconstruction"]
    stages = {read_json(path)["stage"] for path in smoke.results.rglob("*.provenance.json")}
    assert f"{len(stages)} stages, " in found["cost"]


def test_second_run_has_nothing_to_do(smoke: Checkout) -> None:
    assert smoke.planned_rules() == set()


DRAWN = {"claims", "make_tables", "make_figures", "report"}
PICTURES = {"reconstruct", "reconstruct_metrics", "restore", "restore_metrics", "masked", "masked_metrics"}


@pytest.mark.parametrize(
    ("key", "value", "rules"),
    [
        ("runtime.image_batch", 3, set()),
        ("figures.num_words", 3, {"make_figures", "report"}),
        ("semantics.num_global", [5], {"semantics", "semantics_metrics"} | DRAWN),
        ("fewshot.answer.max_new_tokens", 7, {"classify", "classify_metrics"} | DRAWN),
        (
            "fewshot.runs.lqae.ways",  # other episodes, so other pictures may have to be encoded
            [5],
            {"evaluation", "local_tokens", "local_words", "reconstruct", "reconstruct_metrics", "classify"}
            | {"classify_metrics"}
            | DRAWN,
        ),
        ("masked.lora.rank", 2, {"tune_lora", "masked", "masked_metrics"} | DRAWN),
        (
            "train.learning_rate",
            5.0e-4,
            {"train", "local_tokens", "local_words", "usage", "classify", "classify_metrics", "tune_lora"}
            | PICTURES
            | DRAWN,
        ),
    ],
)  # fmt: skip
def test_a_changed_key_runs_again_just_what_depends_on_it(copy_of_smoke: Checkout, key, value, rules) -> None:
    copy_of_smoke.edit(key, value)
    assert copy_of_smoke.planned_rules() == rules


def test_pretrained_clip_needs_no_trunk_and_no_training(copy_of_smoke: Checkout) -> None:
    copy_of_smoke.edit("clip", {"kind": "open_clip", "model": "ViT-B-32", "pretrained": None})
    rules = copy_of_smoke.planned_rules()
    assert {"image_features", "embed", "filter", "classify", "report"} <= rules
    assert not rules & {"trunk_features", "train_clip", "emoji", "expand"}


def test_impossible_configuration_stops_before_the_first_job(copy_of_smoke: Checkout) -> None:
    copy_of_smoke.edit("data.max_classes", 4)
    failed = copy_of_smoke.snakemake(check=False)
    assert failed.returncode != 0
    assert "rule " not in failed.stderr
    assert (
        "config/smoke.yaml: episodes.ways: 5-way needs at least 5 classes, data.max_classes allows 4" in failed.stderr
    )


def test_unreadable_picture_stops_its_stage_and_leaves_nothing_half_written(copy_of_smoke: Checkout) -> None:
    picture = next((copy_of_smoke.results / "data" / "pictures").rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[:60])
    failed = copy_of_smoke.snakemake("--forcerun", "trunk_features", check=False)
    assert failed.returncode != 0
    assert f"{picture.relative_to(copy_of_smoke.root)}: " in failed.stderr
    assert not (copy_of_smoke.results / "clip" / "trunk_features.safetensors").exists()
    assert not list(copy_of_smoke.results.rglob(".partial*"))
