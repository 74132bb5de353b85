import pytest
from pydantic import ValidationError

from v2l.config.vocab import VocabConfig

SECTIONS = {"expand": {}, "embed": {}, "filter": {}}


def test_defaults_are_the_papers_codebook_and_those_it_is_compared_with() -> None:
    vocab = VocabConfig(**SECTIONS)
    assert vocab.main == "orders_1_3"
    assert {name: (codebook.orders, codebook.filtered) for name, codebook in vocab.codebooks.items()} == {
        "orders_1_3": ([1, 2, 3], True),
        "orders_1_2": ([1, 2], True),
        "order_1": ([1], True),
        "unfiltered": ([1, 2, 3], False),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codebooks": {}}, "at least 1 item"),
        ({"main": "order_2"}, r"main must be one of codebooks \(orders_1_3, .*unfiltered\), found order_2"),
        ({"codebooks": {"order_1": {"orders": [1]}}}, r"main must be one of codebooks \(order_1\), found orders_1_3"),
        ({"codebooks": {"orders_1_3": {"orders": []}}}, "at least 1 item"),
        ({"codebooks": {"orders_1_3": {"orders": [1, 4]}}}, "less than or equal to 3"),
        ({"codebooks": {"orders 1-3": {}}}, "String should match pattern"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VocabConfig(**SECTIONS, **changes)
