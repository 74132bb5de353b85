from pathlib import Path

import pandas as pd
import pytest

from v2l.artifacts import read_rows, write_rows
from v2l.config.data import EpisodesConfig
from v2l.config.fewshot import RunConfig
from v2l.data.episodes import COLUMNS, chosen_episodes, draw_all, episodes, read_episodes, used_pictures
from v2l.data.manifest import COLUMNS as MANIFEST_COLUMNS
from v2l.errors import ArtifactError, DataError

SOURCES = ("a", "b", "c", "d", "e")


def manifest(names: list[str], num_train: int = 4) -> pd.DataFrame:
    """Each class has ``num_train`` training pictures and one held-out picture."""
    return pd.DataFrame(
        {
            **dict.fromkeys(MANIFEST_COLUMNS, ""),
            "image_id": f"{source}/{name}",
            "split": "train" if i < num_train else "heldout",
            "class_name": name,
        }
        for name in names
        for i, source in enumerate(SOURCES[: num_train + 1])
    )


NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "polar bear"]


def config(**changes) -> EpisodesConfig:
    return EpisodesConfig(**{"ways": [2, 5], "per_way": 20, "shots": 3, **changes})


def test_supports_are_training_pictures_and_queries_held_out():
    drawn = draw_all(manifest(NAMES), config(), seed=0)
    assert drawn["episode_id"].tolist()[:2] == ["2-way/0000", "2-way/0001"]
    assert len(drawn) == 40
    for row in drawn.itertuples():
        assert row.query_id == f"e/{row.query_class}"
        assert row.query_class in row.class_names
        assert len(set(row.class_names)) == row.ways
        assert len(set(row.support_ids)) == len(row.support_ids) == row.ways * 3
        assert not any(image_id.startswith("e/") for image_id in row.support_ids)
        assert [image_id.split("/")[1] for image_id in row.support_ids] == [
            c for c in row.class_names for _ in range(3)
        ]


def test_fewer_shots_are_a_part_of_more_shots_in_the_same_order(tmp_path: Path):
    write_rows(tmp_path / "manifest.parquet", manifest(NAMES))
    episodes(tmp_path / "manifest.parquet", tmp_path / "episodes.parquet", config(), seed=0)
    for episode in read_episodes(tmp_path / "episodes.parquet"):
        three, one = episode.supports(3), episode.supports(1)
        assert len(three) == 3 * episode.ways
        assert sorted(name for _, name in one) == sorted(episode.class_names)
        assert one == [pair for pair in three if pair in one]
        assert all(image_id.split("/")[1] == name for image_id, name in three)


def test_rounds_let_fewer_shots_begin_the_prompt_of_more(tmp_path: Path):
    write_rows(tmp_path / "manifest.parquet", manifest(NAMES))
    drawn = config(order="rounds")
    episodes(tmp_path / "manifest.parquet", tmp_path / "episodes.parquet", drawn, seed=0)
    read = read_episodes(tmp_path / "episodes.parquet")
    for episode in read:
        one, two, three = (episode.supports(shots) for shots in (1, 2, 3))
        assert three[: len(two)] == two
        assert two[: len(one)] == one
        assert {name for _, name in one} == set(episode.class_names)
    assert len({tuple(episode.support_order) for episode in read if episode.ways == 5}) > 10


def test_prompt_order_mixes_the_classes(tmp_path: Path):
    write_rows(tmp_path / "manifest.parquet", manifest(NAMES))
    episodes(tmp_path / "manifest.parquet", tmp_path / "episodes.parquet", config(), seed=0)
    read = read_episodes(tmp_path / "episodes.parquet")
    first = [episode.supports(1)[0][1] == episode.class_names[0] for episode in read if episode.ways == 2]
    assert 0 < sum(first) < len(first)
    query = [episode.class_names.index(episode.query_class) for episode in read if episode.ways == 5]
    assert set(query) == {0, 1, 2, 3, 4}


def test_an_episode_does_not_depend_on_the_others():
    many = draw_all(manifest(NAMES), config(), seed=0)
    few = draw_all(manifest(NAMES), config(ways=[5], per_way=3), seed=0)
    pd.testing.assert_frame_equal(few, many[many["ways"] == 5].head(3).reset_index(drop=True))
    other = draw_all(manifest(NAMES), config(), seed=1)
    assert (many["query_id"] != other["query_id"]).any()


def test_row_order_of_the_manifest_does_not_matter():
    rows = manifest(NAMES)
    pd.testing.assert_frame_equal(draw_all(rows, config(), 0), draw_all(rows.iloc[::-1], config(), 0))


def test_classes_without_enough_pictures_or_with_long_names_are_not_drawn():
    rows = pd.concat([manifest(NAMES), manifest(["hen"], num_train=2), manifest(["ibis"]).query("split == 'train'")])
    drawn = {name for names in draw_all(rows, config(), 0)["class_names"] for name in names}
    assert drawn == set(NAMES) - {"polar bear"}
    drawn = {name for names in draw_all(rows, config(single_word_names=False), 0)["class_names"] for name in names}
    assert drawn == set(NAMES)


def test_too_few_classes_are_refused_with_both_numbers():
    message = "episodes.ways: 5-way needs 5 classes, but 3 have 3 training pictures, a held-out one and a one-word name"
    with pytest.raises(DataError, match=message):
        draw_all(manifest(["ant", "bee", "cat", "polar bear"]), config(), seed=0)


def test_more_shots_than_drawn_are_refused(tmp_path: Path):
    write_rows(tmp_path / "manifest.parquet", manifest(NAMES))
    episodes(tmp_path / "manifest.parquet", tmp_path / "episodes.parquet", config(), seed=0)
    with pytest.raises(DataError, match="runs: 5 shots asked for, but episode 2-way/0000 was drawn with 3"):
        read_episodes(tmp_path / "episodes.parquet")[0].supports(5)


def test_every_class_is_asked_once_after_the_same_support():
    one, each = (draw_all(manifest(NAMES), config(queries=queries), seed=0) for queries in ("one", "each_class"))
    assert len(each) == 20 * (2 + 5)
    for (_, questions), asked_once in zip(each.groupby("episode_id", sort=False), one.itertuples(), strict=True):
        assert questions["query_class"].tolist() == asked_once.class_names
        assert questions["query_id"].tolist() == [f"e/{name}" for name in asked_once.class_names]
        for question in questions.itertuples():
            for column in ("episode_id", "ways", "class_names", "support_ids"):
                assert getattr(question, column) == getattr(asked_once, column)
            assert question.support_order == questions["support_order"].iloc[0]


@pytest.fixture
def drawn(tmp_path: Path):
    """20 episodes of 2 ways and 20 of 5, with 3 shots."""
    write_rows(tmp_path / "manifest.parquet", manifest(NAMES))
    episodes(tmp_path / "manifest.parquet", tmp_path / "episodes.parquet", config(), seed=0)
    return read_episodes(tmp_path / "episodes.parquet")


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


def test_a_run_answers_all_questions_of_its_episodes(tmp_path: Path):
    rows = draw_all(manifest(NAMES), config(queries="each_class"), seed=0)
    write_rows(tmp_path / "e.parquet", rows)
    read = read_episodes(tmp_path / "e.parquet")
    chosen = chosen_episodes(read, RunConfig(words="order_1", per_way=3))
    expected = [f"{ways}-way/{number:04d}" for ways in (2, 5) for number in range(3) for _ in range(ways)]
    assert [episode.episode_id for episode in chosen] == expected
    assert chosen == [episode for episode in read if episode.episode_id in expected]


def test_ways_that_no_episode_has_are_refused(drawn):
    with pytest.raises(DataError, match=r"fewshot\.runs: no episode has 3 ways; there are \[2, 5\]"):
        chosen_episodes(drawn, RunConfig(words="order_1", ways=[2, 3]))


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
def test_episode_that_contradicts_itself_is_refused(tmp_path: Path, column: str, value: object):
    rows = draw_all(manifest(NAMES), config(ways=[2]), seed=0).head(1)
    rows[column] = [value]
    write_rows(tmp_path / "e.parquet", rows)
    with pytest.raises(ArtifactError, match=r"e\.parquet: episode 2-way/0000: classes, supports and queries"):
        read_episodes(tmp_path / "e.parquet")


@pytest.mark.parametrize(
    ("column", "edit"),
    [
        ("support_ids", lambda rows: rows["support_ids"].map(lambda ids: ids[::-1])),
        ("support_order", lambda rows: rows["support_order"].map(lambda order: order[::-1])),
        ("class_names", lambda rows: rows["class_names"].map(lambda names: names[::-1])),
        ("query_id", lambda rows: rows["query_id"].shift(1)),
    ],
)
def test_questions_of_one_episode_with_two_supports_or_one_query_are_refused(tmp_path: Path, column: str, edit):
    rows = draw_all(manifest(NAMES), config(ways=[2], per_way=2, queries="each_class"), seed=0)
    rows.loc[[3], column] = edit(rows)[[3]]
    write_rows(tmp_path / "e.parquet", rows)
    with pytest.raises(ArtifactError, match="episode 2-way/0001: classes, supports and queries do not fit together"):
        read_episodes(tmp_path / "e.parquet")


def test_same_seed_gives_the_same_bytes(tmp_path: Path):
    write_rows(tmp_path / "manifest.parquet", manifest(NAMES))
    for name in ("one", "two"):
        episodes(tmp_path / "manifest.parquet", tmp_path / name, config(), seed=0)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert list(read_rows(tmp_path / "one", COLUMNS).columns) == list(COLUMNS)
