"""The stage ``episodes``: drawn ones, and those that the release lists."""

from pathlib import Path

import pandas as pd
import pytest

from v2l.artifacts import read_rows, write_rows
from v2l.data.draw_episodes import draw_all, episodes
from v2l.data.episodes import COLUMNS, Episode, read_episodes
from v2l.data.manifest import COLUMNS as MANIFEST_COLUMNS
from v2l.errors import DataError

from .episode_inputs import NAMES, config, manifest


@pytest.fixture
def stored(tmp_path: Path):
    """The episodes that the stage writes, as later stages read them."""

    def run(rows: pd.DataFrame, **changes) -> list[Episode]:
        write_rows(tmp_path / "manifest.parquet", rows)
        episodes(tmp_path / "manifest.parquet", tmp_path / "episodes.parquet", config(**changes), seed=0)
        return read_episodes(tmp_path / "episodes.parquet")

    return run


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


def test_an_episode_does_not_depend_on_the_others():
    many = draw_all(manifest(NAMES), config(), seed=0)
    few = draw_all(manifest(NAMES), config(ways={5: 3}), seed=0)
    pd.testing.assert_frame_equal(few, many[many["ways"] == 5].head(3).reset_index(drop=True))
    other = draw_all(manifest(NAMES), config(), seed=1)
    assert (many["query_id"] != other["query_id"]).any()


def test_numbers_of_episodes_may_differ_by_ways():
    same = draw_all(manifest(NAMES), config(), seed=0)
    drawn = draw_all(manifest(NAMES), config(ways={2: 3, 5: 2}), seed=0)
    assert drawn["ways"].tolist() == [2, 2, 2, 5, 5]
    pd.testing.assert_frame_equal(drawn, same.groupby("ways").head(3).drop(22).reset_index(drop=True))


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


def test_rounds_let_fewer_shots_begin_the_prompt_of_more(stored):
    read = stored(manifest(NAMES), order="rounds")
    for episode in read:
        one, two, three = (episode.supports(shots) for shots in (1, 2, 3))
        assert three[: len(two)] == two
        assert two[: len(one)] == one
        assert {name for _, name in one} == set(episode.class_names)
    assert len({tuple(episode.support_order) for episode in read if episode.ways == 5}) > 10


def test_prompt_order_mixes_the_classes(stored):
    read = stored(manifest(NAMES))
    first = [episode.supports(1)[0][1] == episode.class_names[0] for episode in read if episode.ways == 2]
    assert 0 < sum(first) < len(first)
    query = [episode.class_names.index(episode.query_class) for episode in read if episode.ways == 5]
    assert set(query) == {0, 1, 2, 3, 4}


def test_same_seed_gives_the_same_bytes(tmp_path: Path):
    write_rows(tmp_path / "manifest.parquet", manifest(NAMES))
    for name in ("one", "two"):
        episodes(tmp_path / "manifest.parquet", tmp_path / name, config(), seed=0)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert list(read_rows(tmp_path / "one", COLUMNS).columns) == list(COLUMNS)


class TestHeldOutSupport:
    """Support and queries from the same held-out classes, as Mini-ImageNet's test classes have both."""

    @pytest.fixture
    def rows(self) -> pd.DataFrame:
        """Seven classes of five held-out pictures, and two of training pictures alone."""
        heldout = manifest(NAMES[:-1]).assign(split="heldout")
        return pd.concat([heldout, manifest(["hen", "ibis"]).query("split == 'train'")])

    @pytest.mark.parametrize("queries", ["one", "each_class"])
    def test_a_query_is_a_picture_of_its_class_that_is_not_shown(self, rows: pd.DataFrame, queries: str):
        heldout = rows[rows["split"] == "heldout"].groupby("class_name")["image_id"].agg(set)
        drawn = draw_all(rows, config(support_split="heldout", queries=queries), seed=0)
        assert {name for names in drawn["class_names"] for name in names} == set(heldout.index)
        ranks = set()
        for row in drawn.itertuples():
            assert len(set(row.support_ids)) == len(row.support_ids) == row.ways * 3
            for place, image_id in enumerate(row.support_ids):
                assert image_id in heldout[row.class_names[place // 3]]
            rest = sorted(heldout[row.query_class] - set(row.support_ids))
            assert len(rest) == 2
            ranks.add(rest.index(row.query_id))
        assert ranks == {0, 1}

    def test_a_class_needs_one_picture_more_than_shots(self, rows: pd.DataFrame):
        drawn = draw_all(rows, config(support_split="heldout", shots=4), seed=0)
        for row in drawn.itertuples():
            assert row.query_id == next(
                f"{source}/{row.query_class}"
                for source in "abcde"
                if f"{source}/{row.query_class}" not in row.support_ids
            )
        message = "5-way needs 5 classes, but 0 have 6 held-out pictures and a one-word name"
        with pytest.raises(DataError, match=message):
            draw_all(rows, config(support_split="heldout", shots=5), seed=0)


WORDNET = {"n01": "wolf", "n02": "school bus", "n03": "crane"}
LINES = {
    "2_way_2_shot.csv": [["n01/n010.jpg", "n02/n023.jpg", "n02/n020.jpg", "n01/n012.jpg", "n02/n021.jpg"]],
    "2_way_1_shot.csv": [
        ["n03/n031.jpg", "n01/n013.jpg", "n01/n011.jpg"],
        ["n02/n022.jpg", "n03/n030.jpg", "n03/n033.jpg"],
    ],
}


class TestReleaseLists:
    """Classes n01 to n03 of four pictures in a flat folder; ImageNet has pictures of the same names."""

    @pytest.fixture
    def rows(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                **dict.fromkeys(MANIFEST_COLUMNS, ""),
                "image_id": f"{source}/{folder}/{number}",
                "path": f"/data/{source}/images/{folder}{number}.jpg",
                "split": "heldout" if folder == "n03" else "train",
                "class_name": WORDNET[folder],
                "source": source,
                "subgroup": folder,
            }
            for source in ("imagenet", "mini_imagenet")
            for folder in WORDNET
            for number in range(4)
        )

    def write(self, folder: Path, lines: dict[str, list[list[str]]]) -> list[Path]:
        for name, several in lines.items():
            (folder / name).write_text("".join(",".join([*line, "\n"]) for line in several), encoding="utf-8")
        return [folder / name for name in lines]

    def test_their_episodes_are_stored_in_their_order(self, stored, rows: pd.DataFrame, tmp_path: Path):
        read = stored(rows, release=self.write(tmp_path, LINES))
        assert [episode.episode_id for episode in read] == [
            "2-way-2-shot/0000", "2-way-1-shot/0000", "2-way-1-shot/0001",
        ]  # fmt: skip
        for episode, line in zip(read, [line for lines in LINES.values() for line in lines], strict=True):
            shown = [(f"mini_imagenet/{path[:3]}/{path[-5]}", WORDNET[path[:3]]) for path in line]
            assert [*episode.supports(episode.max_shots), (episode.query_id, episode.query_class)] == shown

    def test_a_picture_of_another_use_is_not_found(self, stored, rows: pd.DataFrame, tmp_path: Path):
        few = rows[(rows["source"] == "imagenet") | (rows["image_id"] != "mini_imagenet/n02/0")]
        with pytest.raises(DataError, match=r"2_way_2_shot\.csv: line 1: picture 'n02/n020\.jpg' not found"):
            stored(few, release=self.write(tmp_path, LINES))
