"""Episode files of the release, on a small replica."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from v2l.artifacts import write_rows
from v2l.data.episodes import COLUMNS, read_episodes
from v2l.data.release_episodes import read_release_episodes
from v2l.errors import DataError

NAMES = {"n01": "wolf", "n02": "bus", "n03": "crane", "n04": "crane"}
PICTURES = {f"{folder}/{number}.jpg" for folder in NAMES for number in range(5)}
LINE = ["n01/0.jpg", "n02/3.jpg", "n02/0.jpg", "n01/2.jpg", "n02/4.jpg"]  # the last one is the query


def write(folder: Path, *lines: Sequence[str], name: str = "2_way_2_shot.csv") -> Path:
    path = folder / name
    path.write_text("".join(",".join([*line, "\n"]) for line in lines), encoding="utf-8")
    return path


def changed(place: int, path: str) -> list[str]:
    return [*LINE[:place], path, *LINE[place + 1 :]]


def test_a_line_is_support_and_query_in_its_order(tmp_path: Path):
    frame = read_release_episodes(write(tmp_path, LINE), PICTURES, NAMES)
    assert frame.columns.tolist() == list(COLUMNS)
    assert frame.to_dict("records") == [
        {
            "episode_id": "2-way-2-shot/0000",
            "ways": 2,
            "class_names": ["bus", "wolf"],
            "support_ids": ["n02/3.jpg", "n02/0.jpg", "n01/0.jpg", "n01/2.jpg"],
            "support_order": [2, 0, 1, 3],
            "query_id": "n02/4.jpg",
            "query_class": "bus",
        }
    ]


def test_stored_episodes_show_their_support_in_the_order_of_the_line(tmp_path: Path):
    five = [f"{folder}/{number}.jpg" for number in (3, 1) for folder in ("n02", "n01")] + ["n01/0.jpg"]
    write_rows(tmp_path / "e", read_release_episodes(write(tmp_path, LINE, five), PICTURES, NAMES))
    for episode, line in zip(read_episodes(tmp_path / "e"), (LINE, five), strict=True):
        assert [image_id for image_id, _ in episode.supports(2)] == line[:-1]
        assert all(NAMES[image_id[:3]] == name for image_id, name in episode.supports(2))
        first = {folder: next(path for path in line if path.startswith(folder)) for folder in ("n01", "n02")}
        assert {image_id for image_id, _ in episode.supports(1)} == set(first.values())


def test_lines_are_numbered_and_may_end_as_on_windows(tmp_path: Path):
    path = write(tmp_path, LINE, LINE)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    frame = read_release_episodes(path, PICTURES, NAMES)
    assert frame["episode_id"].tolist() == ["2-way-2-shot/0000", "2-way-2-shot/0001"]
    assert frame["query_id"].tolist() == ["n02/4.jpg"] * 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (changed(1, "n02/9.jpg"), r"picture 'n02/9\.jpg' not found"),
        (LINE[1:], "expected 2 x 2 support paths and a query, 5, found 4"),
        ([], "expected 2 x 2 support paths and a query, 5, found 0"),
        (changed(3, "n02/1.jpg"), r"expected 2 support picture\(s\) of each class, found 1 of n01"),
        (changed(3, "n03/1.jpg"), "expected support of 2 classes, found 3: n01, n02, n03"),
        (changed(4, "n03/1.jpg"), "the query's class n03 is not among those of the support: n01, n02"),
        (changed(4, "n02/3.jpg"), r"picture 'n02/3\.jpg' occurs twice"),
        (["n03/0.jpg", "n04/0.jpg", "n03/1.jpg", "n04/1.jpg", "n03/2.jpg"], "two of the classes n03, n04 are called"),
        (["n03/0.jpg", "n01/0.jpg", "n03/1.jpg", "n01/1.jpg", "n04/2.jpg"], "the query's class n04 is not among"),
    ],
)
def test_a_bad_line_is_refused_by_file_and_line(tmp_path: Path, line: list[str], message: str):
    path = write(tmp_path, LINE, line)
    with pytest.raises(DataError, match=rf"2_way_2_shot\.csv: line 2: {message}") as error:
        read_release_episodes(path, PICTURES, NAMES)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_class_is_refused(tmp_path: Path):
    path = write(tmp_path, LINE)
    with pytest.raises(DataError, match=r"line 1: no class has the WordNet id 'n02'"):
        read_release_episodes(path, PICTURES, {"n01": "wolf"})


def test_a_line_without_its_last_comma_is_refused_as_the_release_would_lose_the_query(tmp_path: Path):
    path = tmp_path / "2_way_2_shot.csv"
    path.write_text(",".join(LINE) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1: expected a comma after the last path, found 'n02/4\.jpg'"):
        read_release_episodes(path, PICTURES, NAMES)


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"episodes\.csv: expected a file name like 5_way_1_shot\.csv"):
        read_release_episodes(write(tmp_path, LINE, name="episodes.csv"), PICTURES, NAMES)
    with pytest.raises(DataError, match=r"3_way_1_shot\.csv: cannot be read"):
        read_release_episodes(tmp_path / "3_way_1_shot.csv", PICTURES, NAMES)
    with pytest.raises(DataError, match=r"2_way_2_shot\.csv: expected one episode a line, found none"):
        read_release_episodes(write(tmp_path), PICTURES, NAMES)
