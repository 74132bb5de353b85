"""Every value is recomputed from the rows that its entry points to."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError
from v2l.metrics.few_shot import classify_metrics

from .recompute import recompute, run

SETTINGS = ["no induction, K=1, repeats=0", "induction, K=1, repeats=0", "induction, K=3, repeats=0"]
FIELDS = {"value", "n", "low", "high", "unit", "better", "interval", "rows"}


@pytest.fixture
def predictions(tmp_path):
    """24 decisions for each of 2 ways x 2 Kg: 8 episodes, 3 settings."""
    generator = np.random.default_rng(1)
    path = tmp_path / "classify" / "predictions.parquet"
    path.parent.mkdir()
    write_rows(
        path,
        [
            {
                "episode_id": f"{ways}-way/{episode}",
                "ways": ways,
                "num_global": num_global,
                "setting": setting,
                "correct": bool(generator.random() < 0.7),
            }
            for ways in (2, 5)
            for num_global in (5, 21)
            for episode in range(8)
            for setting in SETTINGS
        ],
    )
    return path


def test_each_accuracy_is_the_mean_of_its_rows(predictions, tmp_path):
    metrics = run(classify_metrics, predictions)
    assert len(metrics) == 2 * 2 * (len(SETTINGS) + 1)
    for key, entry in metrics.items():
        correct = recompute(entry, tmp_path, "correct")
        is_average = key.endswith("| average")
        assert set(entry) == FIELDS
        assert entry["n"] == 8
        assert len(correct) == (24 if is_average else 8)
        assert entry["value"] == pytest.approx(correct.mean(), abs=1e-12)
        assert entry["low"] < entry["value"] < entry["high"]
        assert entry["interval"] == ("95 % t-interval" if is_average else "95 % Wilson interval")


def test_average_takes_its_interval_over_episodes_not_decisions(tmp_path):
    # Two episodes, one all right, one all wrong: t(0.975, 1) = 12.7062, standard error 0.5.
    path = tmp_path / "predictions.parquet"
    rows = [
        {"episode_id": e, "ways": 2, "num_global": 5, "setting": s, "correct": e == 0} for e in (0, 1) for s in SETTINGS
    ]
    write_rows(path, rows)
    entry = run(classify_metrics, path)["accuracy | 2-way | Kg=5 | average"]
    assert (entry["value"], entry["n"]) == (0.5, 2)
    assert entry["high"] == pytest.approx(0.5 + 12.7062 * 0.5, abs=1e-4)


@pytest.mark.parametrize(("edit", "found"), [("drop", 0), ("repeat", 2)])
def test_incomplete_or_repeated_episode_is_refused(predictions, edit, found):
    frame = pd.read_parquet(predictions)
    frame = frame.iloc[1:] if edit == "drop" else pd.concat([frame, frame.iloc[:1]])
    write_rows(predictions, frame)
    with pytest.raises(
        ArtifactError, match=rf"found {found} for episode 2-way/0, setting 'no induction, K=1, repeats=0'"
    ):
        run(classify_metrics, predictions)


def test_equal_rows_give_equal_bytes_in_any_order(predictions):
    output = predictions.with_name("metrics.json")
    classify_metrics(predictions, output)
    first = output.read_bytes()
    write_rows(predictions, pd.read_parquet(predictions).sample(frac=1, random_state=0))
    classify_metrics(predictions, output)
    assert output.read_bytes() == first
