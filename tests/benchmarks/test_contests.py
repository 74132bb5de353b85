"""Every contest runs, in small sizes, and its two ways agree; FLOPs and memory against counters of torch and Linux."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from benchmarks.common.llm_work import answer_one_by_one, engine_flops, forward_flops
from benchmarks.common.machine import peak_memory, reset_peak_memory
from benchmarks.common.sizes import SIZES
from benchmarks.common.stand_ins import random_llm
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.llama.modeling_llama import LlamaAttention

from v2l.models.llm import Llm
from v2l.models.llm_decoding import Free, OneOf
from v2l.models.llm_generation import Request
from v2l.runtime import Runtime

CPU = torch.device("cpu")
TINY = ["expansion", "embedding", "few_shot", "filtering", "local_tokens", "restoration", "training"]


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


@pytest.mark.parametrize(("name", "precision"), [*((name, "fp32") for name in TINY), ("restoration", "bf16")])
def test_both_ways_run_and_agree(
    name: str,
    precision: str,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stored = tmp_path / "numbers.json"
    sizes = ["--size", "tiny", "--precision", precision, "--items", "8", "--plain-items", "2"]
    run(name, [*sizes, "--json", str(stored)], repository, monkeypatch)
    output, numbers = capsys.readouterr().out, json.loads(stored.read_text())
    rates = [each["seconds"] for each in (numbers["suite"][-1], numbers["plain"])]
    assert numbers["ratio"] == pytest.approx(8 / rates[0] / (2 / rates[1]))
    assert [list(each["items"].values()) for each in numbers["suite"]] == [[1], [2], [4], [8]]
    assert f"Ratio: **{numbers['ratio']:.1f}**" in output
    assert numbers["precision"] == {"fp32": "float32", "bf16": "bfloat16"}[precision]
    if precision == "bf16":  # a batch may decide near ties otherwise than a loop
        assert re.search(r"\b[012] of 2 restored maps are equal", output)
    else:
        assert all_equal(output) if name != "training" else "of 2 steps by" in output
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


def test_losses_that_differ_too_much_are_no_ratio() -> None:
    compare = importlib.import_module("benchmarks.training").compare_losses
    ours, theirs = [1.0, 1.0, 1.0], [1.005, 1.1]
    assert compare(torch.bfloat16, ours, theirs).startswith(
        "Losses of the first step differ by 5.0e-03 of their size, "
    )
    with pytest.raises(ValueError, match=r"losses differ by 9\.1%"):
        compare(torch.float32, ours, theirs)
    with pytest.raises(ValueError, match=r"losses differ by 9\.1%"):
        compare(torch.bfloat16, ours[::-1], theirs[::-1])


def test_command_names_what_it_cannot_do(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("expansion", ["--items", "7"], repository, monkeypatch)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("error: expected --items of 8 or more, --plain-items and --threads of 1 or more")


def counted_flops(llm: Llm, counter: FlopCounterMode) -> int:
    """Of the linear layers and of attention without its rotations."""
    counts = {name.partition(".")[2]: each for name, each in counter.get_flop_counts().items()}
    layers = [name for name, module in llm.model.named_modules() if isinstance(module, nn.Linear | LlamaAttention)]
    inside = [f"{name}.{each}_proj" for name in layers if name.endswith("self_attn") for each in "qkvo"]
    return sum(sum(counts[name].values()) for name in layers) - sum(sum(counts[name].values()) for name in inside)


@pytest.fixture
def eager(llm: Llm) -> Iterator[Llm]:
    """The LLM with attention as plain products, which torch counts."""
    before = llm.model.config._attn_implementation
    llm.model.set_attn_implementation("eager")
    yield llm
    llm.model.set_attn_implementation(before)


def test_flops_of_a_token_after_others_are_those_that_torch_counts(eager: Llm) -> None:
    with torch.no_grad():
        cache = eager.model(input_ids=torch.zeros(3, 5, dtype=torch.int64)).past_key_values
        with FlopCounterMode(display=False) as counter:
            eager.model(input_ids=torch.zeros(3, 1, dtype=torch.int64), past_key_values=cache, logits_to_keep=1)
    assert forward_flops(eager, 3 * [(1, 5)], 3) == counted_flops(eager, counter)


def test_tokens_read_together_see_what_they_would_see_one_by_one(llm: Llm) -> None:
    one_by_one = [(1, past) for past in range(4, 11)]
    assert forward_flops(llm, [(7, 4)], 2) == forward_flops(llm, one_by_one, 2)


def test_flops_of_the_engine_are_those_of_all_that_it_reads(llm: Llm) -> None:
    shared = (0, 5, 6, 7)
    requests = [Request((shared, (8, 9, number)), Free(3)) for number in range(10, 14)]
    found = []
    counting = llm.model.get_input_embeddings().register_forward_pre_hook(lambda _, ids: found.append(ids[0].numel()))
    answers = llm.answer(requests)
    counting.remove()
    reads = [(4, 0), *4 * [(3, 4)], *4 * [(2, 7)]]  # the beginning, what follows, all of an answer but its last id
    assert engine_flops(llm, requests, answers) == forward_flops(llm, reads, 12)
    assert sum(found) == sum(count for count, _ in reads)


def test_flops_of_the_engine_leave_out_what_no_choice_needs(llm: Llm) -> None:
    names = [(5, 6, 7), (8, 6, 7)]
    requests = [Request(((1, 2, 3),), OneOf(names, 0))]
    answers = llm.answer(requests)
    assert tuple(answers[0][:3]) in names
    assert engine_flops(llm, requests, answers) == forward_flops(llm, [(3, 0)], 2 / llm.vocab_size)


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
