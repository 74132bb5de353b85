"""Rules of answers, by examples worked by hand."""

import pytest

from v2l.models.llm_decoding import Free, OneOf

END = 9


def test_free_answer_ends_at_its_longest():
    rule = Free(max_new_tokens=2)
    assert rule.allowed([]) is None
    assert rule.allowed([5]) is None
    assert rule.allowed([5, 5]) == ()


def test_free_answer_ends_with_a_stop_id():
    rule = Free(max_new_tokens=5, stop_ids=frozenset({7}))
    assert rule.allowed([7, 5]) is None
    assert rule.allowed([5, 7]) == ()


def test_exact_answer_follows_one_name():
    rule = OneOf([[1, 2], [3, 4]], END)
    assert rule.allowed([]) == [1, 3]
    assert rule.allowed([1]) == [2]
    assert rule.allowed([3]) == [4]
    assert rule.allowed([1, 2]) == ()
    assert rule.max_new_tokens == 3


def test_a_name_that_begins_another_can_end_or_go_on():
    rule = OneOf([[1], [1, 2]], END)
    assert rule.allowed([1]) == [2, END]
    assert rule.allowed([1, END]) == ()
    assert rule.allowed([1, 2]) == ()


def test_positionwise_answer_admits_a_mixture_of_names():
    rule = OneOf([[1, 2], [3, 4]], END, "positionwise")
    assert rule.allowed([1]) == [2, 4]
    assert rule.allowed([3]) == [2, 4]
    assert rule.allowed([1, 4]) == ()


def test_positionwise_answer_can_end_where_some_name_ends():
    rule = OneOf([[1], [3, 4]], END, "positionwise")
    assert rule.allowed([3]) == [4, END]
    assert rule.allowed([3, END]) == ()


@pytest.mark.parametrize("names", [[], [[]], [[1], []]])
def test_names_without_ids_are_refused(names):
    with pytest.raises(ValueError, match="one or more names, each of one or more ids"):
        OneOf(names, END)
