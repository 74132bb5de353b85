from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2l.claims.few_shot import few_shot_claims, larger_llms
from v2l.claims.statistics import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDECIDED, Claim
from v2l.config.fewshot import InductionSetting

from .expected import assert_claim, assert_statistic, assert_untested, by_id

Cell = tuple[int, bool, int, int]  # Kg, induction, shots, repeats
Cells = Mapping[Cell, Sequence[int] | Sequence[Sequence[int]]]  # right or not, of every episode or of its queries

BASELINES = ["vqgan", "lqae", "spae"]
# The better and the worse side of each claim, and settings that have no part in it.
SIDES: dict[str, tuple[Cell, Cell, list[Cell]]] = {
    "global_tokens": ((21, True, 1, 0), (5, True, 1, 0), [(11, True, 1, 0), (5, False, 1, 0), (21, False, 1, 0)]),
    "induction": ((5, True, 1, 0), (5, False, 1, 0), [(5, True, 5, 0), (5, True, 1, 5), (5, False, 5, 0)]),
    "shots": ((5, True, 5, 0), (5, True, 1, 0), [(5, True, 3, 0), (5, True, 1, 5), (5, True, 9, 1), (5, False, 9, 0)]),
    "repeats": ((5, True, 1, 5), (5, True, 1, 0), [(5, True, 1, 3), (5, True, 5, 0), (5, True, 5, 9)]),
}
ONE_SHOT = (21, True, 1, 0)
MIXED = [1, 1, 1, 0, 1, 1, 0, 1]
# Right and wrong answers of the better and the worse side, by the verdict that they imply.
OUTCOMES = {
    SUPPORTED: ([1, 1, 1, 1, 1, 1, 1, 0], [0] * 8),
    CONTRADICTED: ([0] * 8, [1, 1, 1, 1, 1, 1, 1, 0]),
    UNDECIDED: ([1, 0, 1, 0, 1, 0, 1, 1], [0, 1, 0, 1, 0, 1, 1, 1]),
    NOT_TESTED: ([1], [0]),
}
every_outcome = pytest.mark.parametrize(("verdict", "sides"), OUTCOMES.items())
every_claim = pytest.mark.parametrize("name", SIDES)
every_baseline = pytest.mark.parametrize("baseline", BASELINES)


def decisions(cells: Cells, ways: int = 2) -> pd.DataFrame:
    """One row a decision; the episodes of a cell are numbered from 0."""
    return pd.DataFrame(
        [
            {
                "episode_id": f"{ways}-way/{episode}", "query_id": f"noto/{query}", "ways": ways,
                "num_global": num_global,
                "setting": InductionSetting(induction=induction, shots=shots, repeats=repeats).name,
                "induction": induction, "shots": shots, "repeats": repeats, "correct": bool(right),
            }
            for (num_global, induction, shots, repeats), answers in cells.items()
            for episode, queries in enumerate(answers)
            for query, right in enumerate(np.atleast_1d(queries))
        ]
    )  # fmt: skip


def read_by(num_weights: int, cells: Cells, words: str = "orders_1_3") -> pd.DataFrame:
    """Decisions of an LLM of that size."""
    return decisions(cells).assign(llm_parameters=num_weights, words=words)


def judge(**runs: Cells | pd.DataFrame) -> dict[str, Claim]:
    """The claims by id, without what all ids begin with."""
    frames = {name: run if isinstance(run, pd.DataFrame) else decisions(run) for name, run in runs.items()}
    files = {name: (Path(f"classify/{name}.parquet"), rows) for name, rows in frames.items()}
    return {id_.removeprefix("few_shot_"): claim for id_, claim in by_id(few_shot_claims(files, "some-llm")).items()}


def minus(first: Sequence[float], second: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(first, second, strict=True)]


@every_claim
@every_outcome
def test_two_sides_of_v2l_give_every_verdict(name, verdict, sides) -> None:
    better, worse, _ = SIDES[name]
    claim = judge(v2l=dict(zip((better, worse), sides, strict=True)))[name]
    assert_claim(claim, verdict, minus(*sides), factor=100)
    assert claim.unit == "points"
    assert claim.scale.startswith(f"some-llm, episodes: {len(sides[0])} 2-way")


@every_claim
@pytest.mark.parametrize("other", [[0] * 8, [1] * 8])
def test_other_settings_have_no_part_in_a_claim(name, other) -> None:
    better, worse, others = SIDES[name]
    cells = {better: MIXED, worse: MIXED[::-1]}
    assert judge(v2l={**dict.fromkeys(others, other), **cells})[name] == judge(v2l=cells)[name]


@every_claim
def test_episodes_that_one_side_lacks_are_left_out(name) -> None:
    better, worse, _ = SIDES[name]
    claim = judge(v2l={better: [1, 0, 1, 0, 0, 0], worse: [0, 0, 0]})[name]
    assert_statistic(claim, [1, 0, 1], factor=100)


@every_claim
def test_one_side_alone_is_not_tested(name) -> None:
    for cell in SIDES[name][:2]:
        claim = judge(v2l={cell: MIXED})[name]
        assert_untested(claim, "no item that both" if name == "induction" else "only one side of the comparison")


@pytest.mark.parametrize("name", ["induction", "shots", "repeats"])
def test_numbers_of_words_are_averaged_within_an_episode(name) -> None:
    better, worse, _ = SIDES[name]
    more = [(21, *cell[1:]) for cell in (better, worse)]
    cells = {better: [1, 1, 0], worse: [0, 1, 0], more[0]: [1, 0, 0], more[1]: [0, 0, 1]}
    assert_statistic(judge(v2l=cells)[name], [1, 0, -0.5], factor=100)


@every_claim
def test_queries_are_averaged_within_an_episode(name) -> None:
    better, worse, _ = SIDES[name]
    claim = judge(v2l={better: [(1, 1), (1, 0), (0, 0)], worse: [(0, 1), (0, 0), (0, 1)]})[name]
    assert_statistic(claim, [0.5, 0.5, -0.5], factor=100)
    assert claim.scale == "some-llm, episodes: 3 2-way"


def test_settings_are_averaged_within_an_episode() -> None:
    cells = {(21, True, 1, 0): [1, 1, 0], (21, True, 3, 0): [1, 0, 0], (21, True, 1, 5): [1, 1, 0],
             (5, True, 1, 0): [0, 1, 0], (5, True, 3, 0): [0, 1, 0], (5, True, 1, 5): [0, 1, 1]}  # fmt: skip
    assert_statistic(judge(v2l=cells)["global_tokens"], [1, -1 / 3, -1 / 3], factor=100)


def test_episodes_of_all_numbers_of_ways_are_items() -> None:
    better, worse, _ = SIDES["shots"]
    two, five = ({better: [1, 1], worse: [0, 1]}, {better: [0, 1, 1], worse: [1, 0, 0]})
    claim = judge(v2l=pd.concat([decisions(five, ways=5), decisions(two)]))["shots"]
    assert_statistic(claim, [1, 0, -1, 1, 1], factor=100)
    assert claim.scale == "some-llm, episodes: 2 2-way, 3 5-way"


@every_baseline
@every_outcome
def test_v2l_against_a_baseline_gives_every_verdict(baseline, verdict, sides) -> None:
    own, other = sides
    claim = judge(v2l={ONE_SHOT: own}, **{baseline: {(256, True, 1, 0): other}})[f"beats_{baseline}"]
    assert_claim(claim, verdict, minus(own, other), factor=100)
    assert claim.rows == (() if verdict == NOT_TESTED else ("classify/v2l.parquet", f"classify/{baseline}.parquet"))


def test_a_baseline_meets_v2l_with_as_many_words_or_else_with_the_most() -> None:
    own = {(5, True, 1, 0): [1, 0, 0, 0], ONE_SHOT: [1, 1, 1, 0], (30, False, 1, 0): [0, 0, 0, 0]}
    claims = judge(
        v2l=own,
        vqgan={(256, True, 1, 0): [0, 0, 1, 0]},
        lqae={(5, True, 1, 0): [0, 0, 1, 0]},
        spae={(5, True, 1, 0): [0, 0, 1, 0], ONE_SHOT: [1, 0, 0, 0]},
    )
    for name, differences in {"vqgan": [1, 1, 0, 0], "lqae": [1, 0, -1, 0], "spae": [0.5, 0.5, 0, 0]}.items():
        assert_statistic(claims[f"beats_{name}"], differences, factor=100)


@every_baseline
def test_a_baseline_meets_v2l_query_by_query_and_counts_episodes(baseline) -> None:
    own, other = [(1, 1), (1, 0), (0, 1), (0, 0)], [(0, 1), (0, 0), (1,), (1,)]
    claim = judge(v2l={ONE_SHOT: own}, **{baseline: {ONE_SHOT: other}})[f"beats_{baseline}"]
    assert_statistic(claim, [0.5, 0.5, -1, -1], factor=100)
    assert claim.scale == "some-llm, episodes: 4 2-way"


@every_baseline
def test_episodes_and_settings_of_one_run_alone_are_left_out(baseline) -> None:
    own = {ONE_SHOT: [1, 1, 0, 0, 0, 0], (21, True, 5, 0): [0] * 6, (21, False, 1, 0): [0] * 6}
    other = {ONE_SHOT: [0, 1, 0], (21, True, 3, 0): [1] * 3, (21, False, 1, 0): [1] * 3}
    claim = judge(v2l=own, **{baseline: other})[f"beats_{baseline}"]
    assert_statistic(claim, [1, 0, 0], factor=100)


def test_a_baseline_in_other_settings_alone_is_not_tested() -> None:
    claim = judge(v2l={ONE_SHOT: MIXED}, vqgan={(21, True, 3, 0): MIXED})["beats_vqgan"]
    assert_untested(claim, "no item that both sides have")


@every_baseline
def test_a_baseline_that_was_not_run_is_not_tested(baseline) -> None:
    others = {name: {ONE_SHOT: [0] * 8} for name in BASELINES if name != baseline}
    claims = judge(v2l={ONE_SHOT: MIXED}, **others)
    assert_untested(claims[f"beats_{baseline}"], "no few-shot run of this baseline")
    assert [claims[f"beats_{name}"].verdict for name in others] == [SUPPORTED, SUPPORTED]


def test_without_v2l_nothing_is_tested_and_no_claim_is_missing() -> None:
    without = judge(vqgan={ONE_SHOT: MIXED})
    assert list(without) == list(judge(v2l={ONE_SHOT: MIXED}))
    for claim in without.values():
        assert_untested(claim, "no few-shot run of V2L")


def compare_llms(**runs: pd.DataFrame) -> Claim:
    return larger_llms({name: (Path(f"classify/{name}.parquet"), rows) for name, rows in runs.items()}, "some-llm")


@every_outcome
def test_the_largest_llm_is_compared_with_the_smallest_in_settings_with_induction(verdict, sides) -> None:
    largest, smallest = (
        {(5, True, 1, 0): answers, (5, False, 1, 0): others}
        for answers, others in zip(sides, ([0] * len(sides[0]), [1] * len(sides[0])), strict=True)
    )
    middle = dict.fromkeys(smallest, [1] * len(sides[0]))
    runs = {"large": (70_000_000_000, largest), "v2l": (7_000_000_000, smallest), "middle": (13_000_000_000, middle)}
    claim = compare_llms(**{name: read_by(*run) for name, run in runs.items()})
    assert_claim(claim, verdict, minus(*sides), factor=100)
    if verdict != NOT_TESTED:
        assert claim.scale.startswith("70.0 against 7.0 billion weights")
        assert [Path(file).name for file in claim.rows] == ["v2l.parquet", "large.parquet"]


def test_one_llm_or_runs_of_other_words_or_settings_test_no_claim_about_larger_ones() -> None:
    cells = {ONE_SHOT: MIXED}
    others = {
        "words": read_by(70, cells, words="spae"),
        "setting": read_by(70, {(21, True, 5, 0): MIXED}),
        "again": read_by(7, cells),
    }
    assert_untested(compare_llms(v2l=read_by(7, cells), **others), "one LLM in this run, some-llm")
    assert_untested(compare_llms(spae=others["words"]), "no few-shot run of V2L")
