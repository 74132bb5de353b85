"""Stored episodes: what they show, which of them a run answers, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.config.fewshot import RunConfig
from v2l.data.draw_episodes import draw_all
from v2l.data.episodes import Episode, chosen_episodes, episodes_by_shots, read_episodes, used_pictures
from v2l.errors import ArtifactError, DataError

from .episode_inputs import NAMES, config, manifest


@pytest.fixture
def stored(tmp_path: Path):
    """Writes rows and reads them back."""

    def run(rows: pd.DataFrame) -> list[Episode]:
        write_rows(tmp_path / "e.parquet", rows)
        return read_episodes(tmp_path / "e.parquet")

    return run


@pytest.fixture
def drawn(stored) -> list[Episode]:
    """20 episodes of 2 ways and 20 of 5, with 3 shots."""
    return stored(draw_all(manifest(NAMES), config(), seed=0))


def test_fewer_shots_are_a_part_of_more_shots_in_the_same_order(drawn):
    for episode in drawn:
        three, one = episode.supports(3), episode.supports(1)
        assert len(three) == 3 * episode.ways
        assert sorted(name for _, name in one) == sorted(episode.class_names)
        assert one == [pair for pair in three if pair in one]
        assert all(image_id.split("/")[1] == name for image_id, name in three)


def test_more_shots_than_drawn_are_refused(drawn):
    with pytest.raises(DataError, match="runs: 5 shots asked for, but episode 2-way/0000 was drawn with 3"):
        drawn[0].supports(5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [f"{ways}-way/{number:04d}" for ways in (2, 5) for number in range(20)]),
        ({"per_way": 3}, [f"{ways}-way/{number:04d}" for ways in (2, 5) for number in range(3)]),
        ({"per_way": 2, "ways": [5]}, ["5-way/0000", "5-way/0001"]),
        ({"per_way": 30, "ways": [5]}, [f"5-way/{number:04d}" for number in range(20)]),
        ({"per_way": 1, "ways": [5, 2]}, ["2-way/0000", "5-way/0000"]),
    ],
)
def test_a_run_answers_the_first_episodes_of_its_ways(drawn, changes: dict, expected: list[str]):
    run = RunConfig(words="order_1", **changes)
    assert [episode.episode_id for episode in chosen_episodes(drawn, run)] == expected


def test_a_run_answers_all_questions_of_its_episodes(stored):
    read = stored(draw_all(manifest(NAMES), config(queries="each_class"), seed=0))
    chosen = chosen_episodes(read, RunConfig(words="order_1", per_way=3))
    expected = [f"{ways}-way/{number:04d}" for ways in (2, 5) for number in range(3) for _ in range(ways)]
    assert [episode.episode_id for episode in chosen] == expected
    assert chosen == [episode for episode in read if episode.episode_id in expected]


def test_ways_that_no_episode_has_are_refused(drawn):
    with pytest.raises(DataError, match=r"fewshot\.runs: no episode has 3 ways; there are \[2, 5\]"):
        chosen_episodes(drawn, RunConfig(words="order_1", ways=[2, 3]))


def listed(*numbers: tuple[int, int], count: int = 3) -> list[Episode]:
    """``count`` episodes for each pair of ways and shots."""
    return [
        Episode(
            f"{ways}-way-{shots}-shot/{number:04d}", ways, tuple("abcde"[:ways]),
            tuple(f"{number}/{i}" for i in range(ways * shots)), tuple(range(ways * shots)), "q", "a",
        )
        for ways, shots in numbers
        for number in range(count)
    ]  # fmt: skip


def test_all_settings_answer_episodes_that_were_drawn_for_the_largest(drawn):
    for shots in (1, 2, 3, 5):
        assert episodes_by_shots(drawn, shots) == drawn


@pytest.mark.parametrize(
    ("shots", "answered"),
    [(1, [(2, 1), (5, 3)]), (3, [(2, 3), (5, 3)]), (2, [(2, 3), (5, 3)]), (5, [(2, 3), (5, 3)])],
)
def test_a_setting_answers_the_episodes_that_are_listed_for_its_shots(shots: int, answered: list[tuple[int, int]]):
    assert episodes_by_shots(listed((2, 3), (2, 1), (5, 3)), shots) == listed(*answered)


def test_a_run_answers_the_first_episodes_of_every_list():
    chosen = chosen_episodes(listed((5, 1), (2, 3), (2, 1)), RunConfig(words="order_1", per_way=2))
    assert chosen == listed((2, 3), (2, 1), (5, 1), count=2)


def test_episodes_of_fewer_shots_are_used_as_far_as_they_go(drawn):
    mixed = [drawn[0], replace(drawn[25], episode_id="other")]
    assert used_pictures(mixed, 5) == used_pictures(mixed, 3)
    assert used_pictures(listed((2, 1), (2, 3), count=1), 2) == {"q", *(f"0/{i}" for i in (0, 1, 3, 4))}


def test_used_pictures_are_the_query_and_the_shots_that_are_shown(drawn):
    for shots in (1, 3):
        expected = set()
        for episode in drawn[:7]:
            for place, image_id in enumerate(episode.support_ids):
                expected |= {image_id} if place % 3 < shots else set()
            expected.add(episode.query_id)
        assert used_pictures(drawn[:7], shots) == expected


@pytest.mark.parametrize(
    ("column", "value"),
    [("query_class", "zebra"), ("support_order", [0, 0, 1, 2, 3, 4]), ("support_ids", ["a/ant"]), ("ways", 3)],
)
def test_episode_that_contradicts_itself_is_refused(stored, column: str, value: object):
    rows = draw_all(manifest(NAMES), config(ways={2: 20}), seed=0).head(1)
    rows[column] = [value]
    with pytest.raises(ArtifactError, match=r"e\.parquet: episode 2-way/0000: classes, supports and queries"):
        stored(rows)


@pytest.mark.parametrize(
    ("column", "edit"),
    [
        ("support_ids", lambda rows: rows["support_ids"].map(lambda ids: ids[::-1])),
        ("support_order", lambda rows: rows["support_order"].map(lambda order: order[::-1])),
        ("class_names", lambda rows: rows["class_names"].map(lambda names: names[::-1])),
        ("query_id", lambda rows: rows["query_id"].shift(1)),
    ],
)
def test_questions_of_one_episode_with_two_supports_or_one_query_are_refused(stored, column: str, edit):
    rows = draw_all(manifest(NAMES), config(ways={2: 2}, queries="each_class"), seed=0)
    rows.loc[[3], column] = edit(rows)[[3]]
    with pytest.raises(ArtifactError, match="episode 2-way/0001: classes, supports and queries do not fit together"):
        stored(rows)
