"""Few-shot classification end to end with the embedded LLM, and its parts on small examples."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest
import torch

from v2l.artifacts import read_rows, sha256_file, write_rows
from v2l.config.fewshot import AnswerConfig, RunConfig
from v2l.config.llm import LlmConfig
from v2l.data.episodes import Episode
from v2l.errors import ArtifactError, DataError, ModelError
from v2l.experiments import classify as classify_module
from v2l.experiments.classify import (
    begins_with_name,
    classify,
    make_decisions,
    make_requests,
    prediction_rows,
)
from v2l.models.llm import Llm, load_llm
from v2l.models.llm_decoding import Free
from v2l.models.llm_generation import Request
from v2l.runtime import Runtime

WORDS = {
    "wolf/1": [" wolf", " dog", " husky"],
    "wolf/2": [" wolves", " pack", " howl"],
    "bus/1": [" bus", " van", " traffic"],
    "bus/2": [" coach", " school bus", " road"],
    "bus/new": [" bus stop", " bus", " tram"],
    "wolf/new": [" wolf", " fox", " grey wolf"],
}
SETTINGS = [
    {"induction": False, "shots": 1},
    {"shots": 1},
    {"shots": 2},
    {"shots": 1, "repeats": 1},
    {"shots": 1, "repeats": 3},
]
COLUMNS = [
    "episode_id",
    "ways",
    "num_global",
    "setting",
    "induction",
    "shots",
    "repeats",
    "query_id",
    "target",
    "prediction",
    "correct",
    "prompt_sha256",
    "prompt",
    "num_prompt_tokens",
    "run",
    "words",
]


pytestmark = pytest.mark.usefixtures("one_thread")


ANSWER = AnswerConfig(max_new_tokens=4)


def make_run(**changes) -> RunConfig:
    return RunConfig(**{"words": "order_1", "num_global": [1, 3], "settings": SETTINGS, **changes})


def make_episodes() -> list[Episode]:
    def episode(number: int, query: str, order: tuple[int, ...]) -> Episode:
        supports = ("wolf/1", "wolf/2", "bus/1", "bus/2")
        return Episode(f"2-way/{number}", 2, ("wolf", "bus"), supports, order, f"{query}/new", query)

    return [episode(0, "bus", (2, 0, 3, 1)), episode(1, "wolf", (1, 3, 0, 2))]


def write_inputs(folder: Path) -> dict[str, Path]:
    """Episodes and words as their stages write them."""
    paths = {name: folder / f"{name}.parquet" for name in ("episodes", "words")}
    write_rows(paths["episodes"], [vars(episode) for episode in make_episodes()])
    write_rows(paths["words"], [{"image_id": image, "words": words} for image, words in WORDS.items()])
    return paths


def run_stage(inputs: dict[str, Path], path: Path, run: RunConfig, llm: LlmConfig, runtime: Runtime) -> None:
    classify(**inputs, predictions=path, answer=ANSWER, run_config=run, run="tested", llm=llm, runtime=runtime)


def make_runtime(dtype: torch.dtype, batch_tokens: int) -> Runtime:
    return Runtime(torch.device("cpu"), dtype, image_batch=1, llm_batch_tokens=batch_tokens)


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


def test_stage_writes_one_row_a_decision_in_fixed_order(tmp_path: Path, source: LlmConfig):
    path = tmp_path / "predictions.parquet"
    run = make_run()
    run_stage(write_inputs(tmp_path), path, run, source, make_runtime(torch.bfloat16, 2048))
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
    inputs = write_inputs(tmp_path)
    hashes = []
    for budget in (1, 4096):
        path = tmp_path / f"{budget}.parquet"
        run = make_run(num_global=[1], settings=[SETTINGS[0], SETTINGS[1], SETTINGS[3]])
        run_stage(inputs, path, run, source, make_runtime(dtype, budget))
        hashes.append(sha256_file(path))
    assert hashes[0] == hashes[1]


def test_shared_prefixes_change_no_answer(llm: Llm):
    run = make_run(num_global=[1], settings=[SETTINGS[1], *SETTINGS[3:]])
    decisions = make_decisions(make_episodes()[:1], WORDS, run, ", ")
    requests = make_requests(decisions, llm, AnswerConfig(constraint="positionwise"))
    assert max(len(request.segments) for request in requests) > 2
    whole = [Request((sum(request.segments, ()),), request.decoding) for request in requests]
    assert llm.generate(requests, "test") == llm.generate(whole, "test")


def test_prompts_are_tokenised_as_whole_texts(llm: Llm):
    decisions = make_decisions(make_episodes(), WORDS, make_run(), "")
    for decision, request in zip(decisions, make_requests(decisions, llm, ANSWER), strict=True):
        (ids,) = llm.tokenize([decision.prompt.removesuffix(" ")])
        assert list(sum(request.segments, ())) == ids


def test_free_answer_stops_at_the_end_of_its_line(llm: Llm):
    decisions = make_decisions(make_episodes(), WORDS, make_run(settings=[SETTINGS[0]]), ", ")
    (request, *_) = make_requests(decisions, llm, AnswerConfig(max_new_tokens=30))
    assert isinstance(request.decoding, Free)
    (newline,) = llm.tokenize(["\n"])[0]
    assert request.decoding.allowed([5, newline]) == ()
    assert request.decoding.allowed([5]) is None


def test_only_the_first_line_of_an_answer_counts(llm: Llm):
    decisions = make_decisions(make_episodes(), WORDS, make_run(num_global=[1], settings=SETTINGS[:1]), ", ")
    table = prediction_rows(decisions, make_requests(decisions, llm, ANSWER), [" bus stop\nwolf", "\nwolf"])
    assert table["prediction"].tolist() == ["bus stop", ""]
    assert table["correct"].tolist() == [True, False]


def test_a_prompt_beyond_the_context_is_refused_by_setting(tmp_path: Path, source: LlmConfig):
    short = LlmConfig(source=source.source, max_context=100)
    path, inputs = tmp_path / "predictions.parquet", write_inputs(tmp_path)
    run = make_run(num_global=[1], settings=[SETTINGS[1], SETTINGS[4]])
    with pytest.raises(
        ModelError,
        match=r"episode 2-way/0, Kg=1, induction, K=1, repeats=3: \d+ tokens and an answer .* context of 100",
    ):
        run_stage(inputs, path, run, short, make_runtime(torch.bfloat16, 2048))
    assert not path.exists()


class FakeLlm:
    """Answers every request with its decision's place; what a run asks can be read from the prompts it writes."""

    start_ids: tuple[int, ...] = ()
    token_texts = ("\n", "x")

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

    def ask(run: RunConfig) -> pd.DataFrame:
        path = tmp_path / "predictions.parquet"
        run_stage(write_inputs(tmp_path), path, run, LlmConfig(source="none"), make_runtime(torch.float32, 1))
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
