"""What a run of few-shot classification asks, read from the rows that it writes without an LLM."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch

from v2l.config.fewshot import RunConfig
from v2l.config.llm import LlmConfig
from v2l.data.episodes import Episode
from v2l.errors import ArtifactError, DataError
from v2l.experiments import classify as classify_module
from v2l.models.llm_generation import Request

from .classify_inputs import SETTINGS, WORDS, each_class, make_episodes, make_run, make_runtime, run_stage, write_inputs


class FakeLlm:
    """Answers every request with its decision's place; what a run asks can be read from the prompts it writes."""

    start_ids: tuple[int, ...] = ()
    token_texts = ("\n", "x")
    num_parameters = 7

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        return [[len(text), 1] for text in texts]

    def tokenize_after(self, before: str, text: str) -> list[int]:
        return [len(before), len(text)]

    def generate(self, requests: list[Request], title: str) -> list[list[int]]:
        assert title == "classification, tested"
        return [[index] for index in range(len(requests))]

    def decode(self, answers: list[list[int]]) -> list[str]:
        return [f"{'bus' if index % 2 else 'wolf'} {index}" for (index,) in answers]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What the stage writes for a run, without an LLM."""
    monkeypatch.setattr(classify_module, "load_llm", lambda *_: FakeLlm())

    def ask(run: RunConfig, episodes: Sequence[Episode] = ()) -> pd.DataFrame:
        path = tmp_path / "predictions.parquet"
        inputs = write_inputs(tmp_path, episodes or make_episodes())
        run_stage(inputs, path, run, LlmConfig(source="none"), make_runtime(torch.float32, 1))
        return pd.read_parquet(path)

    return ask


def test_every_decision_is_scored_by_its_own_answer(asked):
    table = asked(make_run())
    assert table["prediction"].tolist() == [f"{'bus' if index % 2 else 'wolf'} {index}" for index in range(20)]
    expected = [
        prediction.startswith(target) for prediction, target in zip(table["prediction"], table["target"], strict=True)
    ]
    assert table["correct"].tolist() == expected
    assert set(expected) == {True, False}


def test_a_run_answers_its_own_episodes_settings_and_numbers_of_words(asked):
    whole = asked(make_run())
    part = asked(make_run(per_way=1, num_global=[3], settings=SETTINGS[1:3]))
    chosen = (whole["episode_id"] == "2-way/0") & (whole["num_global"] == 3) & whole["setting"].isin(part["setting"])
    assert len(part) == 2
    assert part["prompt"].tolist() == whole.loc[chosen, "prompt"].tolist()


def test_every_query_has_its_own_rows_and_the_support_of_its_episode(asked):
    whole = asked(make_run())
    table = asked(make_run(), each_class(make_episodes()))
    assert len(table) == 2 * len(whole)
    cells = ["episode_id", "num_global", "setting"]
    for _, rows in table.groupby(cells):
        assert rows["query_id"].tolist() == ["wolf/new", "bus/new"]
        assert rows["target"].tolist() == ["wolf", "bus"]
        assert rows["prompt"].str.rpartition("Input: <")[0].nunique() == 1
        assert rows["prompt"].nunique() == 2
    of_one = table.merge(whole, on=[*cells, "query_id"], suffixes=("", "_alone"))
    assert len(of_one) == len(whole)
    assert (of_one["prompt"] == of_one["prompt_alone"]).all()


def test_a_run_has_the_common_separator_unless_it_names_its_own(asked):
    settings = SETTINGS[1:2]
    (common, *_) = asked(make_run(num_global=[3], settings=settings))["prompt"]
    (own, *_) = asked(make_run(num_global=[3], settings=settings, separator=""))["prompt"]
    assert "Input: < bus, van, traffic >\n" in common
    assert "Input: <  bus van traffic >\n" in own


def test_a_run_needs_words_of_the_shots_that_it_shows_only(asked, tmp_path: Path, monkeypatch):
    monkeypatch.delitem(WORDS, "bus/2")
    assert len(asked(make_run(settings=SETTINGS[:2]))) == 8
    (tmp_path / "predictions.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"words\.parquet: no words of picture 'bus/2', which an episode uses"):
        asked(make_run(settings=SETTINGS[:3]))
    assert not (tmp_path / "predictions.parquet").exists()


def test_more_words_than_a_picture_has_are_refused(asked):
    with pytest.raises(ArtifactError, match=r"words\.parquet: expected 4 or more words of 'bus/1', found 3"):
        asked(make_run(num_global=[1, 4]))


def test_ways_without_an_episode_are_refused(asked):
    with pytest.raises(DataError, match=r"fewshot\.runs: no episode has 5 ways; there are \[2\]"):
        asked(make_run(ways=[2, 5]))
