import pytest
from pydantic import ValidationError

from v2l.config.data import EpisodesConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": {}}, "at least 1 item"),
        ({"ways": {1: 10}}, "greater than or equal to 2"),
        ({"ways": {2: 10, 5: 0}}, "greater than 0"),
        ({"ways": {2: 10, 5: True}}, "not a boolean"),
        (
            {"release": ["a/2_way_1_shot.csv", "b/2_way_1_shot.csv"]},
            r"file names of release must differ from each other, found 2_way_1_shot\.csv twice",
        ),
    ],
)
def test_episodes_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EpisodesConfig(**changes)
