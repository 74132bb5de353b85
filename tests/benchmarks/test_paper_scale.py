"""The cost of the paper's configuration: counts against the suite's own requests, one row by hand, a tiny run."""

import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks.common.llm_work import prompt_reads
from benchmarks.common.machine import Measured
from benchmarks.common.sizes import LLAMA2_7B, LLAMA2_PARAMETERS, SIZES
from benchmarks.common.stand_ins import random_llm, words
from benchmarks.scale import counts, table
from benchmarks.scale.language import context_queries, few_shot_requests, vqa_text
from transformers import LlamaConfig, LlamaForCausalLM

from v2l.config.data import EpisodesConfig
from v2l.config.fewshot import AnswerConfig, RunConfig
from v2l.config.restore import Region, RestoreProtocol
from v2l.config.tree import Config, load_config
from v2l.data.draw_episodes import draw_all
from v2l.data.episodes import Episode, episodes_by_shots, used_pictures
from v2l.errors import ConfigError
from v2l.experiments.classify import make_decisions, make_requests
from v2l.experiments.windows import Job, Restorer, draw_variants
from v2l.models.llm import Llm
from v2l.models.llm_generation import Generation
from v2l.runtime import Runtime

MODULE = "benchmarks.paper_scale"
LENGTHS = counts.Lengths(ngram=2.0, name=3.0)
TABLE_1 = [
    {"induction": False},
    *({"shots": shots} for shots in (1, 3)),
    *({"repeats": repeats} for repeats in (1, 3)),
]


@pytest.fixture(scope="module")
def llm() -> Llm:
    return random_llm(SIZES["tiny"], Runtime(torch.device("cpu"), torch.float32, 1, 512))


@pytest.fixture(scope="module")
def paper(repository: Path) -> Config:
    return load_config(repository / "config" / "paper.yaml")


def draw_episodes(config: EpisodesConfig) -> list[Episode]:
    """Of six classes whose names have three tokens."""
    names = [f"w{i} w{i + 2} w{i + 4}" for i in range(10, 70, 10)]
    pictures = [(f"{name}/{i}", name) for name in names for i in range(5)]
    frame = pd.DataFrame(pictures, columns=["image_id", "class_name"]).assign(split="heldout", source="mini_imagenet")
    return [
        Episode(*(tuple(value) if isinstance(value, list) else value for value in row))
        for row in draw_all(frame, config, seed=0).itertuples(index=False)
    ]


@pytest.mark.parametrize("queries", ["one", "each_class"])
@pytest.mark.parametrize("separator", [", ", ""])
@pytest.mark.parametrize("settings", [TABLE_1, TABLE_1[1:2], TABLE_1[:1]], ids=["several", "one", "no induction"])
def test_few_shot_counts_are_those_of_the_requests(llm: Llm, queries: str, separator: str, settings: list[dict]):
    drawing = {"ways": {2: 3, 5: 3}, "shots": 3, "support_split": "heldout", "single_word_names": False}
    config = EpisodesConfig(**drawing, queries=queries)
    run = RunConfig(words="orders_1_3", num_global=[2, 7], settings=settings, separator=separator)
    episodes, generator = draw_episodes(config), np.random.default_rng(0)
    shown = {image_id: words(7, LENGTHS.ngram, generator) for image_id in used_pictures(episodes, 3)}
    answered = {setting.shots: set(episodes_by_shots(episodes, setting.shots)) for setting in run.settings}
    requests = make_requests(make_decisions(episodes, answered, shown, run, separator), llm, AnswerConfig())

    found = counts.FewShotPrompts(run, ", ", True, LENGTHS, llm).of_run(config)
    assert found.questions == len(requests)
    assert found.tokens == sum(request.num_prompt_tokens for request in requests)
    # Not counted as shared: the instruction, and "###\nInput: <" of a query and of a further repeat.
    assert 0.85 * found.read < total_read(requests, llm) <= found.read


def total_read(requests: Sequence, llm: Llm) -> int:
    """Episode by episode, as different ones have nothing in common but the first words of the instruction."""
    by_episode: dict[str, list] = {}
    for request in requests:
        by_episode.setdefault(",".join(request.name.split(",")[:2]), []).append(request)
    read = [Generation(llm.model, family, llm.vocab_size, 512).num_tokens for family in by_episode.values()]
    assert read == [sum(count for count, _ in prompt_reads(family)) for family in by_episode.values()]
    return sum(read)


@pytest.mark.parametrize("degraded_input", ["paper", "release"])
@pytest.mark.parametrize("task", ["inpainting", "outpainting", "rotation"])
def test_restoration_counts_are_those_of_the_requests(llm: Llm, task: str, degraded_input: str):
    grid, mask = 6, Region(top=1, left=2, height=4, width=2)
    protocol = RestoreProtocol(num_before=4, replaced=[0.25, 0.5], inpainting=mask, degraded_input=degraded_input)
    restorer = Restorer(llm, protocol, grid, llm.vocab_size, seed=0)
    job = Job("a", task, *np.random.default_rng(0).integers(llm.vocab_size, size=(2, grid**2)))
    variants = draw_variants(job, protocol, llm.vocab_size, seed=0)
    requests = [restorer.request(job, variants, window, job.degraded) for window in restorer.windows(task)]
    found = counts.restoration_windows(protocol, task, grid, llm)
    assert found.questions == len(requests)
    assert found.tokens == sum(request.num_prompt_tokens for request in requests)
    assert found.read == sum(len(rest) for _, *rests in (request.segments for request in requests) for rest in rests)


def test_a_restoration_run_is_all_windows_of_its_tasks_and_pictures(paper: Config, llm: Llm):
    """16 x 16 tokens, two a window: 32 of the centre, 64 of the lower half, 128 of each whole map."""
    found = counts.restoration_run(paper, "v2l", llm)
    assert found.questions == 5_000 * (32 + 64 + 3 * 128)


def test_pictures_are_those_that_the_owners_state(paper: Config):
    assert counts.num_pictures(paper.data) == {
        "imagenet": {"train": 1_281_167, "heldout": 50_000},
        "mini_imagenet": {"train": 48_000, "heldout": 12_000},
        "coco": {"train": 82_783, "heldout": 40_504},
        "vqa_v2": {"train": 0, "heldout": 0},  # COCO's
    }
    assert counts.encoded_pictures(paper) == 1_281_167 + 50_000 + 60_000 + 123_287 + 5 * (50_000 + 12_000)


def test_pictures_of_vqa_v2_are_rows_of_their_own_where_captions_are_read_elsewhere(paper: Config):
    *others, captions, questions = paper.data.sources
    for other in (
        captions.model_copy(update={"root": Path("/data/elsewhere")}),
        captions.model_copy(update={"year": 2017}),
    ):
        data = paper.data.model_copy(update={"sources": [*others, other, questions]})
        assert counts.num_pictures(data)["vqa_v2"] == {"train": 82_783, "heldout": 40_504}
    val = captions.model_copy(update={"splits": ["val"]})
    data = paper.data.model_copy(update={"sources": [*others, val, questions]})
    assert counts.num_pictures(data)["vqa_v2"] == {"train": 82_783, "heldout": 0}


def test_sources_without_imagenet_are_refused(paper: Config):
    without = paper.data.model_copy(update={"sources": paper.data.sources[1:]})
    with pytest.raises(ConfigError, match="expected one of kind imagenet, found mini_imagenet, coco, vqa_v2"):
        counts.num_pictures(without)


def test_few_shot_pictures_are_no_more_than_episodes_show(paper: Config):
    few = paper.model_copy(update={"episodes": paper.episodes.model_copy(update={"ways": {2: 10, 5: 10}})})
    assert counts.few_shot_pictures(few) == 10 * (2 * 5 + 1 + 5 * 5 + 1)
    runs = {"v2l": paper.fewshot.runs["v2l"]}
    words_alone = paper.model_copy(update={"fewshot": paper.fewshot.model_copy(update={"runs": runs})})
    assert counts.few_shot_pictures(words_alone) == 0


def test_the_row_of_training_by_hand(paper: Config, llm: Llm):
    """100 epochs of 1,281,167 pictures with six tokenizers at 250 pictures a second."""
    (row,) = [row for row in table.rows(paper, LENGTHS, llm) if row.stage == "train"]
    measured = {"training, features cached": Measured({"pictures": 500.0}, None, seconds=2.0)}
    assert row.amount == 768_700_200
    assert row.hours(measured) == pytest.approx(854.111, abs=1e-3)
    assert row.hours({}) is None
    written = table.hours_table([row], measured)
    assert "| 100 epochs x 1,281,167 pictures x 6 tokenizers | 768,700,200 pictures | 250 | 854.1 |" in written
    assert written.endswith("| all of these | | | | 854 |")
    assert table.hours_table([row], {}).endswith("|  |  |\n| all of these | | | |  |")


def test_larger_models_take_longer_by_their_parameters(paper: Config, llm: Llm):
    stages = {row.stage: row for row in table.rows(paper, LENGTHS, llm)}
    measured = {"restoration": Measured({"prompt tokens": 1e6}, None, seconds=100.0)}
    hours = {name: stages[f"restore, {name}"].hours(measured) for name in ("v2l", "v2l_13b", "v2l_70b")}
    assert hours["v2l_13b"] / hours["v2l"] == pytest.approx(13_015_864_320 / 6_738_415_616)
    assert hours["v2l_70b"] / hours["v2l"] == pytest.approx(68_976_648_192 / 6_738_415_616)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("7b", LLAMA2_7B),
        ("13b", {"hidden_size": 5120, "intermediate_size": 13_824, "num_hidden_layers": 40}),
        ("70b", {"hidden_size": 8192, "intermediate_size": 28_672, "num_hidden_layers": 80}),
    ],
)
def test_parameters_are_those_of_the_architecture(name: str, sizes: dict):
    heads = {"13b": {"num_attention_heads": 40}, "70b": {"num_attention_heads": 64, "num_key_value_heads": 8}}
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=32_000, **sizes, **heads.get(name, {})))
    assert model.num_parameters() == LLAMA2_PARAMETERS[name]
    assert counts.num_parameters(f"meta-llama/Llama-2-{name}-hf") == LLAMA2_PARAMETERS[name]


@pytest.mark.parametrize("source", ["HuggingFaceTB/SmolLM2-135M", "/models/llama", "a-170b"])
def test_another_llm_is_named(source: str):
    with pytest.raises(ConfigError, match=f"expected a LLaMA 2 with 7b, 13b or 70b in its name, found {source}"):
        counts.num_parameters(source)


@pytest.mark.parametrize("tokens", [1.0, 1.85, 2.5])
def test_random_words_have_the_assumed_number_of_tokens(llm: Llm, tokens: float):
    drawn = words(200, tokens, np.random.default_rng(0))
    assert sum(map(len, llm.tokenize(drawn))) == 200 * tokens


def test_measured_questions_have_the_length_that_is_counted(paper: Config, llm: Llm):
    """Five ways, five shots, 21 words; and ten samples and the query of a VQA prompt."""
    requests = few_shot_requests(llm, paper, 2, LENGTHS)
    run = RunConfig(words="orders_1_3", num_global=[21], settings=[{"shots": 5}])
    found = counts.FewShotPrompts(run, ", ", True, LENGTHS, llm).of_episode(5, 21, queries=1)
    assert [request.num_prompt_tokens for request in requests] == [found.tokens] * 2
    queries = context_queries(vqa_text, paper.vqa, 1, LENGTHS)
    assert [query.prompt.count("Question: ") for query in queries] == [11, 11]
    assert len({query.prompt.rsplit("\n", 1)[0] for query in queries}) == 1
    longer = context_queries(vqa_text, paper.vqa, 1, replace(LENGTHS, question=9.0))
    lengths = [len(llm.tokenize([each[0].prompt])[0]) for each in (queries, longer)]
    assert lengths[1] - lengths[0] == 11


def test_a_tiny_run_measures_everything_that_the_table_needs(repository: Path, tmp_path: Path, paper: Config, llm: Llm):
    command = [
        sys.executable,
        "-m",
        MODULE,
        "--config",
        "config/paper.yaml",
        "--size",
        "tiny",
        "--json",
        tmp_path / "out.json",
    ]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CPU" in done.stdout.splitlines()[0]
    assert done.stdout.endswith("GPU hours need a run with --size paper on a GPU.\n")
    stored = json.loads((tmp_path / "out.json").read_text())
    measured = {
        name: Measured(each["items"], each["flops"], each["seconds"]) for name, each in stored["measured"].items()
    }
    counted = table.rows(paper, counts.Lengths(), llm)
    assert all(row.hours(measured) > 0 for row in counted)
    assert all(each.flops > 0 for each in measured.values())
    assert stored["measured"]["training, features cached"]["memory_bytes"] > 0
    assert [(row["stage"], row["amount"]) for row in stored["stages"]] == [(row.stage, row.amount) for row in counted]
    assert {row["gpu_hours"] for row in stored["stages"]} == {None}
    caching = [measured[f"training, features {word}"] for word in ("cached", "not cached")]
    assert caching[1].flops > caching[0].flops


def test_planned_hours_are_flops_at_the_rates_taken_for_granted(
    repository: Path, paper: Config, llm: Llm, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch
):
    monkeypatch.chdir(repository)
    stored = tmp_path / "plan.json"
    words = ["--config", "config/paper.yaml", "--size", "tiny", "--plan", "120", "10", "--json", str(stored)]
    monkeypatch.setattr(sys, "argv", [MODULE, *words])
    importlib.import_module(MODULE).main()
    output, found = capsys.readouterr().out, json.loads(stored.read_text())["planned"]
    assert output.startswith("Not measured: FLOPs at 120 TFLOP/s, in fp32 10; sizes: tiny\n")
    for each in found.values():
        assert each["seconds"] == pytest.approx(each["flops"] / (1e13 if each["fp32"] else 1.2e14), rel=1e-12)
    # A picture of CLIP: four patches and the class token through one block 32 wide, with two heads, to 16 numbers.
    patches, block, attention, head = 4 * 3 * 16**2 * 32, 5 * 12 * 32**2, 2 * 5 * 5 * 32, 32 * 16
    clip = found["clip images"]
    assert clip["flops"] / clip["items"]["pictures"] == 2 * (patches + block + attention + head)
    measured = {name: Measured(each["items"], each["flops"], each["seconds"]) for name, each in found.items()}
    counted = table.rows(paper, counts.Lengths(), llm)
    assert output.endswith(f"\n{table.hours_table(counted, measured)}\n")
    assert None not in [row.hours(measured) for row in counted]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("config/paper.yaml", "--size", "paper"),
            "--size paper needs a GPU, found none; --size tiny tries the script",
        ),
        (("config/demo.yaml",), "config/demo.yaml: expected data.kind sources and clip.kind open_clip"),
        (("config/none.yaml",), "config/none.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    repository: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(repository)
    monkeypatch.setattr(sys, "argv", [MODULE, "--config", *arguments])
    with pytest.raises(SystemExit) as refused:
        importlib.import_module(MODULE).main()
    assert refused.value.code.startswith(f"paper_scale: {message}")
    assert "\n" not in refused.value.code
