import pytest
from pydantic import ValidationError

from v2l.config.base import Section


class Numbers(Section):
    count: int = 1
    share: float = 0.5
    sizes: list[int] | None = None
    counts: dict[int, int] | None = None
    flag: bool = False


@pytest.mark.parametrize("changes", [{"count": True}, {"share": False}, {"sizes": [2, True]}, {"counts": {2: True}}])
def test_a_boolean_is_no_number(changes: dict) -> None:
    with pytest.raises(ValidationError, match="Expected a number, not a boolean") as error:
        Numbers(**changes)
    assert [each["loc"] for each in error.value.errors()] == [tuple(changes)]


def test_every_boolean_in_place_of_a_number_is_listed() -> None:
    with pytest.raises(ValidationError, match="2 validation errors"):
        Numbers(count=True, share=True)


def test_booleans_and_numbers_written_as_text_are_taken() -> None:
    numbers = Numbers(flag=True, count="3", share="5e-4")
    assert (numbers.flag, numbers.count, numbers.share) == (True, 3, 5e-4)
