"""Drawn context, random words and the rule of an answer's end."""

from pathlib import Path

import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError, DataError
from v2l.experiments.in_context import Words, draw_context, first_sentence, most_frequent

LISTS = {"a": [" wolf", " dog", " fox"], "b": [" bus", " van", " road"], "c": [" tea", " cup", " pot"]}


def write_words(folder: Path, lists: dict[str, list[str]] = LISTS) -> Path:
    path = folder / "words.parquet"
    write_rows(path, pd.DataFrame({"image_id": list(lists), "words": list(lists.values())}))
    return path


def test_words_are_the_best_of_the_picture(tmp_path: Path):
    assert Words(write_words(tmp_path), 2, ", ", seed=0).of("b") == "bus, van"
    assert Words(write_words(tmp_path), 2, "", seed=0).of("b") == " bus van"


def test_random_words_are_distinct_and_come_from_the_lists_as_far_as_they_are_used(tmp_path: Path):
    words = Words(write_words(tmp_path), 2, ", ", seed=0)
    drawn = [words.random(str(item)).split(", ") for item in range(300)]
    assert all(len(set(pair)) == 2 for pair in drawn)
    counts = pd.Series([word for pair in drawn for word in pair]).value_counts()
    assert set(counts.index) == {"wolf", "dog", "bus", "van", "tea", "cup"}
    # 100 are expected of each; five standard deviations of a draw of 2 in 6 are 41.
    assert counts.between(59, 141).all()


def test_random_words_depend_on_seed_and_item_not_on_the_order_of_pictures(tmp_path: Path):
    words = Words(write_words(tmp_path), 3, ", ", seed=0)
    expected = words.random("x")
    turned = Words(write_words(tmp_path, dict(reversed(LISTS.items()))), 3, ", ", seed=0)
    assert turned.random("x") == expected == words.random("x")
    assert expected != words.random("y")
    assert expected != Words(write_words(tmp_path), 3, ", ", seed=1).random("x")


def test_a_picture_without_words_is_refused(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"words\.parquet: no words of picture 'z'"):
        Words(write_words(tmp_path), 2, ", ", seed=0).of("z")


def test_too_few_words_are_refused(tmp_path: Path):
    with pytest.raises(ArtifactError, match="expected 4 or more words of 'a', found 3"):
        Words(write_words(tmp_path), 4, ", ", seed=0).of("a")


def test_too_few_distinct_words_are_refused(tmp_path: Path):
    with pytest.raises(ArtifactError, match="expected 4 or more distinct words, found 3"):
        Words(write_words(tmp_path, {"a": LISTS["a"]}), 4, ", ", seed=0)


def test_context_depends_on_seed_item_and_experiment():
    candidates = [f"p{i:02}" for i in range(50)]
    drawn = draw_context(candidates, 10, 0, "caption", "x")
    assert len(set(drawn)) == 10
    assert draw_context(candidates, 10, 0, "caption", "y") != drawn
    assert draw_context(candidates, 10, 1, "caption", "x") != drawn
    assert draw_context(candidates, 10, 0, "vqa", "x") != drawn


def test_too_few_training_samples_are_refused():
    with pytest.raises(DataError, match=r"vqa\.num_context: 10 samples are to be drawn .* which have 3"):
        draw_context(["a", "b", "c"], 10, 0, "vqa", "x")


def test_a_tie_of_frequencies_goes_to_the_first_in_the_alphabet():
    assert most_frequent(["dog", "cat", "dog", "cat", "ant"]) == "cat"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(" a wolf. Input: <", "a wolf"), (" yes\nCondition", "yes"), (" no", "no"), (". wolf", ""), ("", "")],
)
def test_an_answer_ends_at_a_full_stop_or_line_end(text: str, sentence: str):
    assert first_sentence(text) == sentence
