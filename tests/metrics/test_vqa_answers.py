"""The official VQA rule, against examples worked by hand."""

import pytest

from v2l.metrics.vqa_answers import normalize_answer, vqa_accuracy


@pytest.mark.parametrize(("matches", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_accuracy_by_number_of_matches(matches: int, accuracy: float):
    # 3 of 10: three subsets leave a match out and score 2/3, seven score 1, so (3 x 2/3 + 7) / 10 = 0.9.
    answers = ["dog"] * matches + [f"cat {i}" for i in range(10 - matches)]
    assert vqa_accuracy("dog", answers) == accuracy


def test_accuracy_is_the_mean_over_the_subsets_that_leave_one_out():
    answers = ["a", "b", "b", "c", "c", "c", "d", "d", "d", "d"]
    for answer in "bcd":
        subsets = [answers[:i] + answers[i + 1 :] for i in range(10)]
        expected = sum(min(subset.count(answer) / 3, 1) for subset in subsets) / 10
        assert vqa_accuracy(answer, answers) == pytest.approx(expected, abs=1e-12)


def test_both_sides_are_normalised_even_where_all_agree():
    assert vqa_accuracy("The  Two dogs!", ["2 dogs"] * 10) == 1.0
    assert vqa_accuracy("2 dogs", ["Two dogs."] * 10) == 1.0


def test_an_empty_answer_matches_nothing():
    assert vqa_accuracy("", ["yes"] * 10) == 0.0


def test_a_single_answer_is_refused():
    with pytest.raises(ValueError, match="expected two or more answers, found 1"):
        vqa_accuracy("yes", ["yes"])


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Yes", "yes"),
        ("a dog", "dog"),
        ("An apple and the pear", "apple and pear"),
        ("none", "0"),
        ("Ten", "10"),
        ("eleven", "eleven"),
        ("dont know", "don't know"),
        ("oclock", "o'clock"),
        ("girl's", "girl's"),
        ("2:50 pm", "2:50 pm"),
        ("100,978", "100978"),
        ("red,blue", "red blue"),
        ("red, blue", "red blue"),
        ("black/white", "black white"),
        ("t-shirt", "t shirt"),
        # A blank on either side of one hyphen drops them all.
        ("t-shirt- red", "tshirt red"),
        ("t-shirt -red", "tshirt red"),
        ("3.5", "3.5"),
        ("yes.", "yes"),
        ("u.s.a.", "usa"),
        ("really?!", "really"),
        (" on\nthe\ttable ", "on table"),
        ("", ""),
    ],
)
def test_normalisation(text: str, normal: str):
    assert normalize_answer(text) == normal


@pytest.mark.parametrize("text", ["100,978", "t-shirt -red", "An apple", "dont", "ten"])
def test_normalising_twice_changes_nothing(text: str):
    assert normalize_answer(normalize_answer(text)) == normalize_answer(text)
