import pytest
from pydantic import ValidationError

from v2l.config.fewshot import TABLE_1, FewShotConfig, RunConfig


def test_defaults_are_table_1() -> None:
    run = RunConfig(words="orders_1_3")
    assert [(setting.induction, setting.shots, setting.repeats) for setting in run.settings] == [
        (False, 1, 0), (True, 1, 0), (True, 3, 0), (True, 5, 0), (True, 1, 1), (True, 1, 3), (True, 1, 5)
    ]  # fmt: skip
    assert run.settings == TABLE_1
    assert run.num_global == [5, 21]
    assert (run.per_way, run.ways, run.separator, run.llm) == (None, None, None, None)


def test_a_run_shows_as_many_shots_as_its_largest_setting() -> None:
    assert RunConfig(words="order_1").max_shots == 5
    assert RunConfig(words="order_1", settings=TABLE_1[:3]).max_shots == 3


@pytest.mark.parametrize("name", ["", "V2L", "a-b", "../v2l", "a b"])
def test_names_that_make_no_file_name_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="String should match pattern"):
        FewShotConfig(runs={name: RunConfig(words="order_1")})
    with pytest.raises(ValidationError, match="String should match pattern"):
        RunConfig(words=name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_global": []}, "at least 1 item"),
        ({"settings": []}, "at least 1 item"),
        ({"ways": []}, "at least 1 item"),
        ({"num_global": [5, 21, 5]}, "num_global must differ from each other, found 5 twice"),
        ({"ways": [2, 2]}, "ways must differ from each other, found 2 twice"),
        (
            {"settings": [{"shots": 3}, {"shots": 3, "repeats": 0}]},
            "settings must differ from each other, found induction, K=3, repeats=0 twice",
        ),
        ({"per_way": 0}, "greater than 0"),
        ({"seperator": ""}, "Extra inputs are not permitted"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RunConfig(words="order_1", **changes)
