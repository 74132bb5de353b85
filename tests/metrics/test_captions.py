"""Every value is recomputed from the rows that its entry points to."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import read_rows, write_rows
from v2l.errors import ArtifactError
from v2l.metrics.caption_scores import score_captions
from v2l.metrics.captions import bleu_estimate, caption_metrics
from v2l.metrics.entries import select_rows

from .recompute import corpus_bleu, recompute
from .recompute import run as run_stage

CONDITIONS = ("picture words", "random words", "most frequent caption")
REFERENCES = [
    ["a red dog runs on the grass", "dog"],
    ["two cats eat a big fish"],
    ["the old bus waits at the station"],
    ["a cup of hot tea", "tea on a table"],
    ["five birds fly over the sea"],
]
PREDICTIONS = ["a red dog runs", "two cats eat fish", "the old bus waits at night", "a cup of hot coffee", "birds"]


def run(predictions):
    return run_stage(lambda file, metrics: caption_metrics(file, metrics, seed=0), predictions)


@pytest.fixture
def predictions(tmp_path):
    path = tmp_path / "caption" / "predictions.parquet"
    path.parent.mkdir()
    parts = []
    for turn, condition in enumerate(CONDITIONS):
        texts = PREDICTIONS[turn:] + PREDICTIONS[:turn]
        columns = {"image_id": list("abcde"), "condition": condition, "prediction": texts, "references": REFERENCES}
        parts.append(pd.concat([pd.DataFrame(columns), score_captions(texts, REFERENCES)], axis=1))
    write_rows(path, pd.concat(parts))
    return path


def test_each_value_follows_from_its_rows(predictions, tmp_path):
    metrics = run(predictions)
    assert set(metrics) == {f"{name} | {c}" for name in ("cider_d", "bleu_4", "rouge_l") for c in CONDITIONS}
    for condition in CONDITIONS:
        for name in ("cider_d", "rouge_l"):
            entry = metrics[f"{name} | {condition}"]
            assert entry["value"] == pytest.approx(recompute(entry, tmp_path, name).mean(), abs=1e-12)
            assert (entry["n"], entry["interval"]) == (5, "95 % t-interval")
        entry = metrics[f"bleu_4 | {condition}"]
        frame = read_rows(tmp_path / entry["rows"]["file"], ["condition", "prediction", "references"])
        rows = select_rows(frame, entry["rows"]["where"])
        assert entry["value"] == pytest.approx(corpus_bleu(rows["prediction"], rows["references"]), abs=1e-12)
        assert (entry["n"], entry["interval"]) == (5, "95 % bootstrap interval (1000 resamples of items)")
        assert 0 <= entry["low"] <= entry["high"] <= 1


def test_bleu_of_a_set_is_not_the_mean_of_its_sentences(predictions):
    entry = run(predictions)["bleu_4 | picture words"]
    sentences = read_rows(predictions, ["bleu_4"])["bleu_4"][:5]
    assert abs(entry["value"] - sentences.mean()) > 0.05


def test_bootstrap_interval_equals_a_slow_loop():
    rows = pd.DataFrame({"image_id": list("abcde"), "prediction": PREDICTIONS, "references": REFERENCES})
    generator = np.random.default_rng(1)
    values = []
    for _ in range(600):
        chosen = generator.integers(5, size=5)
        values.append(corpus_bleu([PREDICTIONS[i] for i in chosen], [REFERENCES[i] for i in chosen]))
    estimate = bleu_estimate(rows, seed=0)
    # Two independent sets of 1,000 and 600 resamples: their 2.5 % points lie within a few hundredths of each other.
    assert estimate.low == pytest.approx(np.quantile(values, 0.025), abs=0.06)
    assert estimate.high == pytest.approx(np.quantile(values, 0.975), abs=0.06)
    assert estimate.low < estimate.value < estimate.high


def test_equal_rows_give_equal_bytes_in_any_order(predictions):
    run(predictions)
    output = predictions.with_name("metrics.json")
    first = output.read_bytes()
    write_rows(predictions, pd.read_parquet(predictions).sample(frac=1, random_state=0))
    run(predictions)
    assert output.read_bytes() == first


def test_a_repeated_row_is_refused(predictions):
    frame = pd.read_parquet(predictions)
    write_rows(predictions, pd.concat([frame, frame.iloc[:1]]))
    with pytest.raises(ArtifactError, match="picture a, picture words: expected one row"):
        run(predictions)
