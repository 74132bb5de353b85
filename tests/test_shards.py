"""Parts of a stage's items, and which stages have parts."""

import numpy as np
import pandas as pd
import pytest

from v2l.config.runtime import ShardsConfig
from v2l.errors import ConfigError
from v2l.shards import WHOLE, EmptyPart, Shard
from v2l.stages import STAGES


def parts(count: int) -> list[Shard]:
    return [Shard(number, count) for number in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 101])
@pytest.mark.parametrize("num_items", [0, 1, 2, 6, 7, 8, 100, 5933])
def test_parts_cover_every_item_once_in_order_and_differ_by_one_at_most(num_items: int, count: int) -> None:
    bounds = [shard.bounds(num_items) for shard in parts(count)]
    assert [place for part in bounds for place in range(num_items)[part]] == list(range(num_items))
    sizes = [part.stop - part.start for part in bounds]
    assert max(sizes) - min(sizes) <= 1


def test_a_part_of_a_list_an_array_or_a_table_has_the_same_items() -> None:
    items = list(range(10, 21))
    table = pd.DataFrame({"item": items}, index=items[::-1])
    for shard in parts(3):
        expected = items[shard.bounds(11)]
        assert shard.of(items) == expected
        assert shard.of(np.array(items)).tolist() == expected
        assert shard.of(table)["item"].tolist() == expected
        assert shard.of(table).index.tolist() == items[::-1][shard.bounds(11)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_parts_by_weight_cover_every_item_once_in_order_and_weigh_alike(count: int) -> None:
    weights = [2] * 30 + [5] * 12
    found = []
    for shard in parts(count):
        try:
            part = shard.of_weighted(range(42), weights)
        except EmptyPart:
            continue
        found += part
        assert abs(sum(weights[item] for item in part) - 120 / count) <= 5  # half an item at either end
    assert found == list(range(42))
    assert WHOLE.of_weighted([], []) == []


def test_a_part_without_items_is_told_from_no_items_at_all() -> None:
    found = []
    for shard in parts(5):
        try:
            found += shard.of(["a", "b", "c"])
        except EmptyPart:
            found.append(None)
    assert found == [None, "a", None, "b", "c"]
    assert [shard.of([]) for shard in parts(5)] == [[]] * 5  # the stage says what is missing
    assert WHOLE.of([]) == []


def test_snakemakes_names_of_parts_are_read_and_written() -> None:
    for text, shard in (("1-of-1", WHOLE), ("3-of-7", Shard(3, 7)), ("10-of-10", Shard(10, 10))):
        assert Shard.parse(text) == shard
        assert str(shard) == text


@pytest.mark.parametrize("text", ["", "3", "0-of-7", "8-of-7", "3-of-0", "03-of-7", "3-of-7 ", "-1-of-7", "3/7"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"--shard: expected a part like 3-of-7, found '{text}'$"):
        Shard.parse(text)


def test_every_stage_that_has_parts_says_how_each_output_is_put_together_and_has_a_key() -> None:
    sharded = {name: stage for name, stage in STAGES.items() if stage.shards}
    assert {name.replace("-", "_") for name in sharded} == set(ShardsConfig.model_fields)
    for stage in sharded.values():
        assert list(stage.shards) == list(stage.outputs)
