"""The closing words of a run."""

import pytest

from v2l.artifacts import read_json, write_json
from v2l.config.sources import SourcesConfig
from v2l.config.tree import load_config
from v2l.errors import ArtifactError
from v2l.report.display import DISPLAYS
from v2l.report.summary import summary

from .conftest import RUNS


@pytest.fixture(scope="module")
def config(request):
    """The default's, with the runs that there are results of."""
    tree = load_config(request.config.rootpath / "config/demo.yaml")
    return tree.model_copy(update={"fewshot": tree.fewshot.model_copy(update={"runs": RUNS}), "seed": 3})


@pytest.fixture(scope="module")
def lines(config, results):
    first, *lines, last = summary(config, results.root).splitlines()
    assert first == "Results of demo, seed 3"
    assert last == f"Report: {results / 'report.html'}"
    return {line[2:19].strip(): line[20:] for line in lines}


def test_there_is_a_line_a_subject_and_few_of_them(lines):
    assert list(lines) == [
        "pictures", "CLIP, zero-shot", "words", "2-way 1-shot", "5-way 1-shot", "reconstruction", "restoration",
        "captions", "answers", "masked tokens", "claims", "cost",
    ]  # fmt: skip


def test_values_are_those_of_the_metrics_files_with_their_intervals(lines, results):
    def text(family, key):
        return DISPLAYS[key.split(" | ")[0]].text(read_json(results / family / "metrics.json")[key])

    one_shot = "induction, K=1, repeats=0"
    inpainting, tuned = (
        text("restore", "tokens_restored | v2l | inpainting | restored"),
        text("masked", "tokens_restored | after tuning"),
    )
    clip, vqa = text("semantics", "clip | orders_1_3 | Kg=1"), text("vqa", "vqa_accuracy | picture words")
    for label, part in {
        "words": f"CLIP score, Kg=1: up to trigrams (V2L) {clip} (3,090 entries);",
        "5-way 1-shot": f"V2L Kg=5 {text('classify', f'accuracy | v2l | 5-way | Kg=5 | {one_shot}')} %, Kg=21 ",
        "reconstruction": f"V2L PSNR {text('reconstruct', 'psnr | v2l')} dB, LPIPS-VGG ",
        "restoration": f"V2L, tokens restored: inpainting {inpainting} % (degraded 50.0 %, random 0.0 %); outpainting ",
        "captions": f"CIDEr-D {text('caption', 'cider_d | picture words')} picture words; most frequent caption 0.0",
        "answers": f"VQA accuracy {vqa} % picture words; majority answer 87.5 %",
        "masked tokens": f"Tokens restored {tuned} % after tuning; before tuning 10.0 %; random tokens 0.0 %",
    }.items():
        assert lines[label].startswith(part)
    assert lines["5-way 1-shot"].endswith("; chance 20 %")


def test_baselines_stand_beside_v2l_where_they_were_run(lines):
    assert "; VQ-GAN Kg=256 10.0 %; SPAE-like Kg=5 100.0 %" in lines["2-way 1-shot"]
    assert "VQ-GAN" not in lines["5-way 1-shot"]


def test_contradicted_claims_are_counted(lines):
    assert ", 2 contradicted, " in lines["claims"]


def test_cost_counts_jobs_of_one_stage_apart(lines):
    assert lines["cost"] == "6 stages, 10 jobs, 1.0 min of work, peak memory 0.5 GiB"


def test_parts_are_no_jobs_beside_the_whole_that_counts_them(config, own_results, lines):
    whole = own_results.root / "tokens/metrics.json.provenance.json"
    for number in (1, 2):
        part = own_results.root / f"tokens/shards/{number}-of-2.parquet.provenance.json"
        part.parent.mkdir(exist_ok=True)
        write_json(part, {**read_json(whole), "wall_seconds": 600, "shard": f"{number}-of-2"})
    assert lines["cost"] in summary(config, own_results.root)


def test_pictures_of_data_sets_have_no_family_held_out(config, own_results):
    data = SourcesConfig(kind="sources", sources=[{"kind": "vqa_v2", "root": "vqa"}])
    text = summary(config.model_copy(update={"data": data}), own_results.root)
    assert "  pictures          16 of 8 classes\n" in text


def test_missing_value_is_a_dash_and_missing_stage_is_named(config, own_results):
    file = own_results / "reconstruct/metrics.json"
    write_json(file, {key: entry for key, entry in read_json(file).items() if key != "psnr | v2l"})
    assert "V2L PSNR \N{EN DASH}, LPIPS-VGG" in summary(config, own_results.root)
    (own_results / "masked/metrics.json").unlink()
    with pytest.raises(ArtifactError, match=r"masked/metrics\.json: file not found"):
        summary(config, own_results.root)
