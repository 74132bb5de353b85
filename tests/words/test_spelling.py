from pathlib import Path

import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError
from v2l.words.spelling import read_words, write_words


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Words of two pictures, three and two of them."""
    path = tmp_path / "words.parquet"
    ids = pd.Series([[1, 0, 1], [2, 2]])
    write_words(path, pd.Series(["a", "b"]), ids, ["x", "y", "z"], Path("tokens"), Path("rows"))
    return path


def test_what_is_written_is_read_and_cut_after_the_best(words: Path):
    assert read_words(words, ["b", "a", "b"], 2) == {"a": ["y", "x"], "b": ["z", "z"]}
    assert read_words(words, ["a"], 3) == {"a": ["y", "x", "y"]}


def test_a_picture_without_words_is_refused(words: Path):
    with pytest.raises(ArtifactError, match=r"words\.parquet: no words of picture 'c', which an episode uses"):
        read_words(words, {"a", "d", "c"}, 1)


def test_too_few_words_are_refused(words: Path):
    with pytest.raises(ArtifactError, match=r"words\.parquet: expected 3 or more words of 'b', found 2"):
        read_words(words, ["a", "b"], 3)


def test_a_picture_without_tokens_has_no_words(tmp_path: Path):
    write_words(tmp_path / "w", pd.Series(["a"]), pd.Series([[]]), ["x"], Path("tokens"), Path("rows"))
    with pytest.raises(ArtifactError, match="expected 1 or more words of 'a', found 0"):
        read_words(tmp_path / "w", ["a"], 1)


def test_a_file_of_another_stage_is_refused(tmp_path: Path):
    write_rows(tmp_path / "w", [{"image_id": "a", "global_ids": [1]}])
    with pytest.raises(ArtifactError, match=r"expected column\(s\) words"):
        read_words(tmp_path / "w", ["a"], 1)
