"""Every value is recomputed from the rows that its entry points to."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import read_json, write_rows
from v2l.errors import ArtifactError
from v2l.metrics.few_shot import classify_metrics
from v2l.metrics.intervals import share_interval

from .recompute import recompute

SETTINGS = ["no induction, K=1, repeats=0", "induction, K=1, repeats=0", "induction, K=3, repeats=0"]
FIELDS = {"value", "n", "low", "high", "unit", "better", "interval", "rows"}


def run(*predictions):
    output = predictions[0].with_name("metrics.json")
    classify_metrics(predictions, output)
    return read_json(output)


def write(folder, name, num_globals, settings, share, queries=1):
    """A run's decisions about the queries of 8 episodes of each of 2 and 5 ways."""
    generator = np.random.default_rng(1)
    path = folder / "classify" / f"predictions_{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    write_rows(
        path,
        [
            {
                "episode_id": f"{ways}-way/{episode}",
                "query_id": f"noto/{query}",
                "run": name,
                "ways": ways,
                "num_global": num_global,
                "setting": setting,
                "correct": bool(generator.random() < share),
            }
            for ways in (2, 5)
            for num_global in num_globals
            for episode in range(8)
            for query in range(queries)
            for setting in settings
        ],
    )
    return path


@pytest.fixture
def predictions(tmp_path):
    """24 decisions for each of 2 ways x 2 Kg: 8 episodes, 3 settings."""
    return write(tmp_path, "v2l", (5, 21), SETTINGS, 0.7)


def test_every_run_has_its_own_keys_settings_and_rows(predictions, tmp_path):
    other = write(tmp_path, "lqae", (256,), SETTINGS[1:2], 0.3)
    metrics = run(predictions, other)
    assert metrics == run(other, predictions) == {**run(predictions), **run(other)}
    assert {key for key in metrics if "| lqae |" in key} == {
        f"accuracy | lqae | {ways}-way | Kg=256 | {setting}" for ways in (2, 5) for setting in (SETTINGS[1], "average")
    }
    for key, entry in metrics.items():
        name = key.split(" | ")[1]
        assert entry["rows"]["file"] == f"classify/predictions_{name}.parquet"
        assert entry["rows"]["where"]["run"] == name


def test_two_files_of_one_run_are_refused(predictions, tmp_path):
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(predictions.read_bytes())
    with pytest.raises(ArtifactError, match=r"copy\.parquet: 'accuracy \| v2l \| .*' is in another file too"):
        run(predictions, copy)


@pytest.mark.parametrize("queries", [1, 2])
def test_each_accuracy_is_the_mean_of_its_rows_with_an_interval_over_episodes(tmp_path, queries):
    metrics = run(write(tmp_path, "v2l", (5, 21), SETTINGS, 0.7, queries))
    assert len(metrics) == 2 * 2 * (len(SETTINGS) + 1)
    for key, entry in metrics.items():
        correct, episode = (recompute(entry, tmp_path, column) for column in ("correct", "episode_id"))
        assert set(entry) == FIELDS
        assert entry["n"] == episode.nunique() == 8
        assert len(correct) == 8 * queries * (3 if key.endswith("| average") else 1)
        assert entry["value"] == pytest.approx(correct.mean(), abs=1e-12)
        shares = np.array([correct[episode == name].mean() for name in episode.unique()])
        expected = share_interval(shares, len(correct) / len(shares))
        assert (entry["low"], entry["high"]) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert entry["low"] < entry["value"] < entry["high"]


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("setting", [SETTINGS[0], "average"])
def test_neither_queries_nor_settings_add_to_the_number_of_trials(tmp_path, queries, setting):
    # Two episodes, one all right, one all wrong: Wilson's interval of 1 in 2, with z = 1.959964.
    path = tmp_path / "predictions.parquet"
    rows = [
        {"episode_id": e, "query_id": q, "run": "v2l", "ways": 2, "num_global": 5, "setting": s, "correct": e == 0}
        for e in (0, 1)
        for q in range(queries)
        for s in SETTINGS
    ]
    write_rows(path, rows)
    entry = run(path)[f"accuracy | v2l | 2-way | Kg=5 | {setting}"]
    assert (entry["value"], entry["n"]) == (0.5, 2)
    half_width = 1.959964 / (2 + 1.959964**2) * np.sqrt(0.5 + 1.959964**2 / 4)
    # z is given to seven digits.
    assert (entry["low"], entry["high"]) == pytest.approx((0.5 - half_width, 0.5 + half_width), abs=1e-6)


@pytest.mark.parametrize(("edit", "found"), [("drop", 0), ("repeat", 2)])
def test_incomplete_or_repeated_episode_is_refused(predictions, edit, found):
    frame = pd.read_parquet(predictions)
    frame = frame.iloc[1:] if edit == "drop" else pd.concat([frame, frame.iloc[:1]])
    write_rows(predictions, frame)
    with pytest.raises(
        ArtifactError, match=rf"found {found} for episode 2-way/0, query noto/0, setting 'no induction, K=1, repeats=0'"
    ):
        run(predictions)


@pytest.mark.parametrize(
    ("lacks", "message"),
    [
        ({"query_id": "noto/1"}, "as many queries in every episode, found 1 in 2-way/3 and 2 in 2-way/0"),
        ({"setting": SETTINGS[1]}, f"found 0 for episode 2-way/3, query noto/0, setting '{SETTINGS[1]}'"),
    ],
)
def test_an_episode_that_lacks_a_query_or_a_setting_is_refused(tmp_path, lacks, message):
    path = write(tmp_path, "v2l", (5,), SETTINGS, 0.7, queries=2)
    frame = pd.read_parquet(path)
    where = {"episode_id": "2-way/3", **lacks}
    write_rows(path, frame[(frame[list(where)] != pd.Series(where)).any(axis=1)])
    with pytest.raises(ArtifactError, match=rf"predictions_v2l\.parquet: expected .*{message}"):
        run(path)


def write_listed(folder, *settings):
    """Decisions of settings with episodes of their own, all but the first of each right: (setting, K, episodes)."""
    path = folder / "classify" / "predictions_v2l.parquet"
    path.parent.mkdir(exist_ok=True)
    rows = [
        {"episode_id": f"2-way-{shots}-shot/{number}", "query_id": "q", "run": "v2l", "ways": 2, "num_global": 5,
         "setting": setting, "correct": number > 0}
        for setting, shots, count in settings
        for number in range(count)
    ]  # fmt: skip
    write_rows(path, rows)
    return path


def test_average_of_settings_with_episodes_of_their_own_is_the_mean_of_theirs_without_interval(tmp_path):
    path = write_listed(tmp_path, (SETTINGS[0], 1, 4), (SETTINGS[1], 1, 4), (SETTINGS[2], 3, 10))
    metrics = run(path)
    average = metrics["accuracy | v2l | 2-way | Kg=5 | average"]
    own = [metrics[f"accuracy | v2l | 2-way | Kg=5 | {setting}"] for setting in SETTINGS]
    assert [entry["n"] for entry in own] == [4, 4, 10]
    assert all(entry["low"] < entry["value"] < entry["high"] for entry in own)
    assert average["value"] == pytest.approx((0.75 + 0.75 + 0.9) / 3, abs=1e-12)
    assert (average["n"], average["low"], average["high"]) == (14, None, None)
    assert average["interval"] == "none: settings have episodes of their own"


def test_settings_that_share_some_of_their_episodes_only_are_refused(tmp_path):
    path = write_listed(tmp_path, (SETTINGS[0], 1, 4), (SETTINGS[1], 1, 3), (SETTINGS[2], 3, 10))
    with pytest.raises(ArtifactError, match=r"expected one row for each setting of each query, found 0 for episode"):
        run(path)


def test_equal_rows_give_equal_bytes_in_any_order(predictions):
    output = predictions.with_name("metrics.json")
    classify_metrics([predictions], output)
    first = output.read_bytes()
    write_rows(predictions, pd.read_parquet(predictions).sample(frac=1, random_state=0))
    classify_metrics([predictions], output)
    assert output.read_bytes() == first
