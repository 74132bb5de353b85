"""Few-shot classification end to end with the embedded LLM, and its parts on small examples."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from v2l.artifacts import read_rows, sha256_file
from v2l.config.fewshot import AnswerConfig, RunConfig
from v2l.config.llm import LlmConfig
from v2l.data.episodes import Episode
from v2l.errors import ModelError
from v2l.experiments.classify import Decision, begins_with_name, make_decisions, make_requests, prediction_rows
from v2l.models import llm_passes
from v2l.models.llm import Llm, load_llm
from v2l.models.llm_decoding import Free
from v2l.models.llm_generation import Request

from ..parts import assert_parts_make_the_whole
from .classify_inputs import (
    ANSWER,
    SETTINGS,
    WORDS,
    each_class,
    make_episodes,
    make_run,
    make_runtime,
    run_stage,
    write_inputs,
)

COLUMNS = [
    "episode_id", "ways", "num_global", "setting", "induction", "shots", "repeats", "query_id", "target", "prediction",
    "correct", "prompt_sha256", "prompt", "num_prompt_tokens", "run", "words", "llm", "llm_parameters",
]  # fmt: skip


@pytest.fixture(scope="module")
def llm(assets: Path) -> Llm:
    return load_llm(LlmConfig(source=str(assets / "llm")), make_runtime(torch.float32, 2048))


@pytest.fixture
def source(assets: Path) -> LlmConfig:
    return LlmConfig(source=str(assets / "llm"))


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("cat", True),
        ("  cat.", True),
        ("cat's paw", True),
        ("cat fish", True),
        ("caterpillar", False),
        ("cat2", False),
        ("a cat", False),
        ("Cat", False),
        ("", False),
    ],
)
def test_correct_is_a_text_that_begins_with_the_whole_name(text: str, correct: bool):
    assert begins_with_name(text, "cat") is correct


def test_names_of_several_words_and_with_signs_count_whole():
    assert begins_with_name(" polar bear, snow", "polar bear")
    assert not begins_with_name("polar", "polar bear")
    assert begins_with_name("T-Rex!", "T-Rex")
    assert begins_with_name("a.b c", "a.b")
    assert not begins_with_name("axb", "a.b")


def decide(episodes: Sequence[Episode], run: RunConfig, separator: str = ", ") -> list[Decision]:
    """The decisions of a run whose settings answer all episodes."""
    return make_decisions(episodes, defaultdict(lambda: episodes), WORDS, run, separator)


def test_stage_writes_one_row_a_decision_in_fixed_order(tmp_path: Path, source: LlmConfig):
    path = tmp_path / "predictions.parquet"
    run = make_run()
    run_stage(write_inputs(tmp_path, make_episodes()), path, run, source, make_runtime(torch.float32, 2048))
    table = read_rows(path, COLUMNS)
    assert pd.read_parquet(path).columns.tolist() == COLUMNS
    assert list(zip(table["episode_id"], table["num_global"], table["setting"], strict=True)) == [
        (episode.episode_id, num_global, setting.name)
        for episode in make_episodes()
        for num_global in (1, 3)
        for setting in run.settings
    ]
    assert [hashlib.sha256(prompt.encode()).hexdigest() for prompt in table["prompt"]] == table[
        "prompt_sha256"
    ].tolist()
    assert (table["run"] == "tested").all()
    assert (table["words"] == "order_1").all()
    assert (table["llm"] == source.source).all()
    assert (table["llm_parameters"] == 134_515_008).all()  # as SmolLM2-135M's card says, embeddings counted once
    assert table.loc[table["induction"], "prediction"].isin(["wolf", "bus"]).all()
    assert table["prompt"][6] == (
        "For each of the following input output pairs, output is one of ['wolf' or 'bus']\n"
        "###\nInput: < bus, van, traffic >\nOutput: bus\n"
        "###\nInput: < wolf, dog, husky >\nOutput: wolf\n"
        "###\nInput: < bus stop, bus, tram >\nOutput: "
    )
    # Words this plain leave no doubt; chance would be 0.5.
    assert table.loc[table["induction"], "correct"].mean() >= 0.75


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_token_budget_changes_no_byte_of_the_predictions(tmp_path: Path, source: LlmConfig, dtype: torch.dtype):
    inputs = write_inputs(tmp_path, make_episodes())
    hashes = []
    for budget in (1, 4096):
        path = tmp_path / f"{budget}.parquet"
        run = make_run(num_global=[1], settings=[SETTINGS[0], SETTINGS[1], SETTINGS[3]])
        run_stage(inputs, path, run, source, make_runtime(dtype, budget))
        hashes.append(sha256_file(path))
    assert hashes[0] == hashes[1]


def test_parts_make_the_whole(tmp_path: Path, random_llm: LlmConfig, monkeypatch: pytest.MonkeyPatch):
    """Of two episodes, whose questions are packed; a setting of two shots has episodes of its own, and one episode is
    for no setting."""
    monkeypatch.setattr(llm_passes, "PACKED_TOKENS", 8)
    one, two = each_class(make_episodes()[:1]), make_episodes()[1:]
    one = [replace(each, support_ids=("wolf/1", "bus/1"), support_order=(1, 0)) for each in one]
    long = [
        replace(each, episode_id="2-way/2", support_ids=each.support_ids * 2, support_order=tuple(range(8)))
        for each in two
    ]
    run = make_run(settings=SETTINGS[:3])
    sections = {"fewshot.runs.v2l": run, "fewshot.answer": ANSWER, "llm": random_llm, "precision": "bf16"}
    inputs = write_inputs(tmp_path, [*one, *long, *two])
    whole = assert_parts_make_the_whole("classify", sections, inputs, tmp_path, (2, 7), {"run": "v2l"})
    table = pd.read_parquet(whole["predictions"])
    assert table["episode_id"].value_counts().to_dict() == {"2-way/0": 2 * 2 * 2, "2-way/1": 2}


def test_a_run_may_name_its_own_llm(tmp_path: Path, source: LlmConfig):
    inputs, run = write_inputs(tmp_path, make_episodes()), make_run(num_global=[1], settings=SETTINGS[1:2])
    run_stage(
        inputs,
        tmp_path / "own",
        run.model_copy(update={"llm": source}),
        LlmConfig(source="none"),
        make_runtime(torch.float32, 2048),
    )
    run_stage(inputs, tmp_path / "common", run, source, make_runtime(torch.float32, 2048))
    assert sha256_file(tmp_path / "own") == sha256_file(tmp_path / "common")


def test_shared_prefixes_change_no_answer(llm: Llm):
    """Of two queries after one support."""
    run = make_run(num_global=[1], settings=[SETTINGS[1], *SETTINGS[3:]])
    decisions = decide(each_class(make_episodes()[:1]), run)
    requests = make_requests(decisions, llm, AnswerConfig(constraint="positionwise"))
    assert max(len(request.segments) for request in requests) > 2
    whole = [Request((sum(request.segments, ()),), request.decoding) for request in requests]
    assert llm.generate(requests, "test") == llm.generate(whole, "test")


def test_queries_of_an_episode_share_all_tokens_of_its_support(llm: Llm):
    decisions = decide(each_class(make_episodes()[:1]), make_run(num_global=[3], settings=SETTINGS[1:2]))
    first, second = make_requests(decisions, llm, ANSWER)
    shared = [one for one, other in zip(first.segments, second.segments, strict=True) if one == other]
    (support,) = llm.tokenize([decisions[0].prompt.rpartition("Input: <")[0]])
    assert first.segments[: len(shared)] == tuple(shared)
    assert list(sum(shared, ()))[len(llm.start_ids) :][: len(support)] == support
    assert first.segments != second.segments


def test_prompts_are_tokenised_as_whole_texts(llm: Llm):
    decisions = decide(make_episodes(), make_run(), "")
    for decision, request in zip(decisions, make_requests(decisions, llm, ANSWER), strict=True):
        (ids,) = llm.tokenize([decision.prompt.removesuffix(" ")])
        assert list(sum(request.segments, ())) == ids


def test_free_answer_stops_at_the_end_of_its_line(llm: Llm):
    decisions = decide(make_episodes(), make_run(settings=[SETTINGS[0]]))
    (request, *_) = make_requests(decisions, llm, AnswerConfig(max_new_tokens=30))
    assert isinstance(request.decoding, Free)
    (newline,) = llm.tokenize(["\n"])[0]
    assert request.decoding.allowed([5, newline]) == ()
    assert request.decoding.allowed([5]) is None


def test_only_the_first_line_of_an_answer_counts(llm: Llm):
    decisions = decide(make_episodes(), make_run(num_global=[1], settings=SETTINGS[:1]))
    table = prediction_rows(decisions, make_requests(decisions, llm, ANSWER), [" bus stop\nwolf", "\nwolf"])
    assert table["prediction"].tolist() == ["bus stop", ""]
    assert table["correct"].tolist() == [True, False]


def test_a_prompt_beyond_the_context_is_refused_by_setting(tmp_path: Path, source: LlmConfig):
    short = LlmConfig(source=source.source, max_context=100)
    path, inputs = tmp_path / "predictions.parquet", write_inputs(tmp_path, make_episodes())
    run = make_run(num_global=[1], settings=[SETTINGS[1], SETTINGS[4]])
    with pytest.raises(
        ModelError,
        match=r"episode 2-way/0, Kg=1, induction, K=1, repeats=3: \d+ tokens and an answer .* context of 100",
    ):
        run_stage(inputs, path, run, short, make_runtime(torch.float32, 2048))
    assert not path.exists()
