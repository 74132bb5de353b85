import pytest
from pydantic import ValidationError

from v2l.config.data import EpisodesConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": []}, "at least 1 item"),
        ({"ways": [1, 2]}, "greater than or equal to 2"),
        ({"ways": [2, 5, 2]}, "ways must differ from each other, found 2 twice"),
        ({"per_way": {2: 10}}, r"per_way: expected a number for each of the ways \[2, 5\], found \[2\]"),
        ({"per_way": {2: 10, 5: 0}}, "greater than 0"),
        (
            {"release": ["a/2_way_1_shot.csv", "b/2_way_1_shot.csv"]},
            r"file names of release must differ from each other, found 2_way_1_shot\.csv twice",
        ),
    ],
)
def test_episodes_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EpisodesConfig(**changes)
