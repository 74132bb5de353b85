"""Few-shot classification end to end with the embedded LLM, and its parts on small examples."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest
import torch

from v2l.artifacts import read_rows, sha256_file, write_rows
from v2l.config.fewshot import FewShotConfig
from v2l.config.llm import LlmConfig
from v2l.data.episodes import Episode
from v2l.errors import ArtifactError, ModelError
from v2l.experiments.classify import (
    begins_with_name,
    classify,
    make_decisions,
    make_requests,
    prediction_rows,
    read_words,
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
]


@pytest.fixture(autouse=True)
def _one_thread():
    """Passes as short as these gain nothing from threads, and lose much where tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_config(**changes) -> FewShotConfig:
    return FewShotConfig(**{"num_global": [1, 3], "settings": SETTINGS, "max_new_tokens": 4, **changes})


def make_episodes() -> list[Episode]:
    def episode(number: int, query: str, order: tuple[int, ...]) -> Episode:
        supports = ("wolf/1", "wolf/2", "bus/1", "bus/2")
        return Episode(f"2-way/{number}", 2, ("wolf", "bus"), supports, order, f"{query}/new", query)

    return [episode(0, "bus", (2, 0, 3, 1)), episode(1, "wolf", (1, 3, 0, 2))]


def write_inputs(folder: Path) -> dict[str, Path]:
    """Episodes, tokens and global codebook as their stages write them."""
    texts = sorted({word for words in WORDS.values() for word in words})
    rows = [vars(episode) for episode in make_episodes()]
    paths = {name: folder / f"{name}.parquet" for name in ("episodes", "global_tokens", "global_rows")}
    write_rows(paths["episodes"], rows)
    write_rows(
        paths["global_tokens"],
        [{"image_id": image, "global_ids": [texts.index(word) for word in words]} for image, words in WORDS.items()],
    )
    write_rows(paths["global_rows"], pd.DataFrame({"text": texts}))
    return paths


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
    config = make_config()
    classify(
        **write_inputs(tmp_path),
        predictions=path,
        config=config,
        llm=source,
        runtime=make_runtime(torch.bfloat16, 2048),
    )
    table = read_rows(path, COLUMNS)
    assert pd.read_parquet(path).columns.tolist() == COLUMNS
    assert list(zip(table["episode_id"], table["num_global"], table["setting"], strict=True)) == [
        (episode.episode_id, num_global, setting.name)
        for episode in make_episodes()
        for num_global in (1, 3)
        for setting in config.settings
    ]
    assert [hashlib.sha256(prompt.encode()).hexdigest() for prompt in table["prompt"]] == table[
        "prompt_sha256"
    ].tolist()
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
        config = make_config(num_global=[1], settings=[SETTINGS[0], SETTINGS[1], SETTINGS[3]])
        classify(**inputs, predictions=path, config=config, llm=source, runtime=make_runtime(dtype, budget))
        hashes.append(sha256_file(path))
    assert hashes[0] == hashes[1]


def test_shared_prefixes_change_no_answer(llm: Llm):
    config = make_config(num_global=[1], settings=[SETTINGS[1], *SETTINGS[3:]], constraint="positionwise")
    requests = make_requests(make_decisions(make_episodes()[:1], WORDS, config), llm, config)
    assert max(len(request.segments) for request in requests) > 2
    whole = [Request((sum(request.segments, ()),), request.decoding) for request in requests]
    assert llm.generate(requests, "test") == llm.generate(whole, "test")


def test_prompts_are_tokenised_as_whole_texts(llm: Llm):
    config = make_config(separator="")
    decisions = make_decisions(make_episodes(), WORDS, config)
    for decision, request in zip(decisions, make_requests(decisions, llm, config), strict=True):
        (ids,) = llm.tokenize([decision.prompt.removesuffix(" ")])
        assert list(sum(request.segments, ())) == ids


def test_free_answer_stops_at_the_end_of_its_line(llm: Llm):
    config = make_config(settings=[SETTINGS[0]], max_new_tokens=30)
    (request, *_) = make_requests(make_decisions(make_episodes(), WORDS, config), llm, config)
    assert isinstance(request.decoding, Free)
    (newline,) = llm.tokenize(["\n"])[0]
    assert request.decoding.allowed([5, newline]) == ()
    assert request.decoding.allowed([5]) is None


def test_only_the_first_line_of_an_answer_counts(llm: Llm):
    config = make_config(num_global=[1], settings=SETTINGS[:1])
    decisions = make_decisions(make_episodes(), WORDS, config)
    table = prediction_rows(decisions, make_requests(decisions, llm, config), [" bus stop\nwolf", "\nwolf"])
    assert table["prediction"].tolist() == ["bus stop", ""]
    assert table["correct"].tolist() == [True, False]


def test_a_prompt_beyond_the_context_is_refused_by_setting(tmp_path: Path, source: LlmConfig):
    short = LlmConfig(source=source.source, max_context=100)
    path = tmp_path / "predictions.parquet"
    with pytest.raises(
        ModelError,
        match=r"episode 2-way/0, Kg=1, induction, K=1, repeats=3: \d+ tokens and an answer .* context of 100",
    ):
        classify(
            **write_inputs(tmp_path),
            predictions=path,
            config=make_config(num_global=[1], settings=[SETTINGS[1], SETTINGS[4]]),
            llm=short,
            runtime=make_runtime(torch.bfloat16, 2048),
        )
    assert not path.exists()


def test_a_picture_without_tokens_is_refused(tmp_path: Path):
    inputs = write_inputs(tmp_path)
    write_rows(inputs["global_tokens"], pd.read_parquet(inputs["global_tokens"]).query("image_id != 'bus/2'"))
    with pytest.raises(ArtifactError, match=r"global_tokens\.parquet: no tokens of picture 'bus/2'"):
        read_words(inputs["global_tokens"], inputs["global_rows"], make_episodes(), 3)


def test_too_few_global_tokens_are_refused(tmp_path: Path):
    inputs = write_inputs(tmp_path)
    with pytest.raises(ArtifactError, match="expected 4 or more global ids of 'bus/1', found 3"):
        read_words(inputs["global_tokens"], inputs["global_rows"], make_episodes(), 4)


def test_tokens_of_another_codebook_are_refused(tmp_path: Path):
    inputs = write_inputs(tmp_path)
    write_rows(inputs["global_rows"], pd.DataFrame({"text": ["one", "two"]}))
    with pytest.raises(ArtifactError, match="global ids of 'bus/1' do not fit the 2 of"):
        read_words(inputs["global_tokens"], inputs["global_rows"], make_episodes(), 3)
