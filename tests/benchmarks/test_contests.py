"""Every contest runs, in small sizes, and its two ways agree; FLOPs and memory against counters of torch and Linux."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from benchmarks.common.llm_work import answer_one_by_one, engine_flops, forward_flops
from benchmarks.common.machine import peak_memory, reset_peak_memory
from benchmarks.common.sizes import SIZES
from benchmarks.common.stand_ins import random_llm
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from v2l.models.llm import Llm
from v2l.models.llm_decoding import Free, OneOf
from v2l.models.llm_generation import Request
from v2l.runtime import Runtime

CPU = torch.device("cpu")
TINY = ["expansion", "few_shot", "filtering", "local_tokens", "restoration", "training"]


@pytest.fixture(scope="module")
def llm() -> Llm:
    return random_llm(SIZES["tiny"], Runtime(CPU, torch.float32, 1, 512))


def run(name: str, arguments: list[str], repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr(sys, "argv", [name, "--threads", "1", *arguments])
    importlib.import_module(f"benchmarks.{name}").main()


def all_equal(output: str) -> bool:
    """Whether what is said about results tells that none differs."""
    counts = re.search(r"([\d,]+) of ([\d,]+) ", output)
    return counts is not None and counts[1] == counts[2]


@pytest.mark.parametrize("name", TINY)
def test_both_ways_run_and_agree(
    name: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "numbers.json"
    run(name, ["--size", "tiny", "--items", "8", "--plain-items", "2", "--json", str(stored)], repository, monkeypatch)
    output, numbers = capsys.readouterr().out, json.loads(stored.read_text())
    rates = [each["seconds"] for each in (numbers["suite"][-1], numbers["plain"])]
    assert numbers["ratio"] == pytest.approx(8 / rates[0] / (2 / rates[1]))
    assert [list(each["items"].values()) for each in numbers["suite"]] == [[1], [2], [4], [8]]
    assert f"Ratio: **{numbers['ratio']:.1f}**" in output
    assert all_equal(output) if name != "training" else "Losses of 2 steps differ by" in output
    assert [line.split(" | ")[1:] for line in output.splitlines() if line.startswith(("| suite", "| a "))]


def test_embedding_of_the_default_agrees(
    repository: Path, assets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedding = importlib.import_module("benchmarks.embedding")
    contest = importlib.import_module("benchmarks.common.contest")
    config = contest.load_config(repository / "config" / "demo.yaml")
    llm_section = config.llm.model_copy(update={"source": str(assets / "llm")})
    monkeypatch.setattr(contest, "load_config", lambda _: config.model_copy(update={"llm": llm_section}))
    monkeypatch.setattr(embedding, "ENCODER", assets / "text_encoder")
    run("embedding", ["--items", "24", "--plain-items", "24", "--profile"], repository, monkeypatch)
    output = capsys.readouterr().out
    assert "Embeddings of 24 of 24 texts agree" in output
    assert "aten::addmm" in output


def test_results_that_differ_too_much_are_no_ratio(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    training = importlib.import_module("benchmarks.training")
    monkeypatch.setattr(training, "TOLERANCE", 0.0)
    with pytest.raises(ValueError, match=r"losses differ by 0\.\d%"):
        run("training", ["--size", "tiny", "--items", "8", "--plain-items", "2"], repository, monkeypatch)


def test_command_names_what_it_cannot_do(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("expansion", ["--items", "7"], repository, monkeypatch)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("error: expected --items of 8 or more, --plain-items and --threads of 1 or more")


def flops_of_linear_layers(llm: Llm, counter: FlopCounterMode) -> int:
    names = {name for name, module in llm.model.named_modules() if isinstance(module, nn.Linear)}
    counts = {name.partition(".")[2]: sum(each.values()) for name, each in counter.get_flop_counts().items()}
    return sum(counts[name] for name in names)


def test_flops_of_a_forward_pass_are_those_that_torch_counts(llm: Llm) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        llm.model(input_ids=torch.zeros(3, 5, dtype=torch.int64), use_cache=False, logits_to_keep=2)
    assert forward_flops(llm, 15, 6) == flops_of_linear_layers(llm, counter)


def test_flops_of_the_engine_are_those_that_torch_counts(llm: Llm) -> None:
    shared = (0, 5, 6, 7)
    requests = [Request((shared, (8, 9, number)), Free(3)) for number in range(10, 14)]
    with FlopCounterMode(display=False) as counter:
        answers = llm.answer(requests)
    beginning = forward_flops(llm, 0, 2)  # whose logits nobody asked for, two rows as one would be read otherwise
    assert flops_of_linear_layers(llm, counter) == engine_flops(llm, requests, answers) + beginning


def test_one_by_one_gives_the_answers_of_the_rules(llm: Llm) -> None:
    requests = [
        Request(((0, 5, 6, 7), (8, 9)), Free(4)),
        Request(((0, 5, 6, 7),), OneOf([[20, 21], [22, 23, 24]], 1)),
        Request(((0, 3),), OneOf([[20, 21], [20, 23, 24]], 1, "positionwise")),
    ]
    stopping = Request(((0, 9),), Free(4, frozenset({llm.answer([Request(((0, 9),), Free(1))])[0][0]})))
    answers = answer_one_by_one(llm, [*requests, stopping])
    assert answers == llm.answer([*requests, stopping])
    assert len(answers[3]) == 1
    assert answers[1] in ([20, 21], [22, 23, 24])


def test_peak_memory_begins_anew_at_each_reset() -> None:
    large = torch.ones(50_000_000)
    reset_peak_memory(CPU)
    before = peak_memory(CPU)
    del large
    reset_peak_memory(CPU)
    assert peak_memory(CPU) <= before - 150_000_000
    held = torch.ones(50_000_000)
    assert peak_memory(CPU) >= before - 10_000_000
    del held
