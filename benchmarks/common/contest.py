"""A contest: the suite's way against a plain one, in one process, on the device at hand.

Both do the same kind of work, the plain way less of it, as it is slow; what is compared is items a second, and that
their results are equal. The suite's way is also timed at an eighth, a quarter and half of the work, which shows how
its cost grows.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from v2l.artifacts import write_json
from v2l.config.tree import Config, load_config
from v2l.models.llm import Llm, load_llm
from v2l.runtime import Runtime, resolve_runtime, seed_libraries

from .machine import Measured, device_name, matrix_peak, peak_memory, reset_peak_memory, seconds_of
from .sizes import CONFIGS, SIZES
from .stand_ins import random_llm

PARTS = (8, 4, 2)  # the work is also done divided by each of them
PROFILED_ROWS = 12
CPU_SIDE = 1024  # of the product that sets a processor's peak; less where the size has less


@dataclass(frozen=True)
class Way:
    """A way to do a number of items. ``work`` returns what came out and the FLOPs that it took."""

    name: str
    work: Callable[[int], tuple[Any, float]]
    items: int


@dataclass(frozen=True)
class Table:
    """What a contest is about, and how to tell whether two results agree.

    unit: of the items.   agree: says in words how far the results of the suite and of the plain way are equal, and
    raises ValueError where they may not differ as they do.   fp32: the suite works in it whatever the precision.
    """

    title: str
    unit: str
    agree: Callable[[Any, Any], str]
    fp32: bool = False


def options(doc: str, items: int, plain_items: int, sizes: Sequence[str] = ("default", *SIZES)) -> argparse.Namespace:
    """The command line that all contests have; items: how many each way does unless told otherwise."""
    parser = argparse.ArgumentParser(description=doc.split("\n", 1)[0])
    parser.add_argument("--size", choices=sizes, default="default", help="default: the networks of config/demo.yaml;"
                        " paper, tiny: random ones of LLaMA-2-7B's and ViT-L/14's sizes, or very small")  # fmt: skip
    parser.add_argument("--items", type=int, default=items, help="that the suite does (default: %(default)s)")
    parser.add_argument("--plain-items", type=int, default=plain_items, help="that the plain way does (%(default)s)")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="default: what the size's own has")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all processors")
    parser.add_argument("--profile", action="store_true", help="also where the suite's time goes, by operator")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    found = parser.parse_args()
    if found.items < max(PARTS) or found.plain_items < 1 or found.threads < 1:
        parser.error(f"expected --items of {max(PARTS)} or more, --plain-items and --threads of 1 or more")
    return found


def prepare(chosen: argparse.Namespace) -> tuple[Config, Runtime]:
    """The default configuration, and the runtime that a size's own has, on the chosen number of threads."""
    config, sized = load_config(CONFIGS["default"]), load_config(CONFIGS[chosen.size])
    runtime = resolve_runtime(sized.runtime, chosen.precision or sized.precision, chosen.threads)
    seed_libraries(config.seed, "benchmark")  # every stage runs with torch's deterministic kernels
    return config, runtime


def contest_llm(chosen: argparse.Namespace, config: Config, runtime: Runtime) -> Llm:
    """The default's LLM, or one with random weights."""
    return load_llm(config.llm, runtime) if chosen.size == "default" else random_llm(SIZES[chosen.size], runtime)


def compete(chosen: argparse.Namespace, runtime: Runtime, table: Table, suite: Way, plain: Way) -> None:
    """Runs both ways and prints Markdown: rates, memory, share of the peak, their ratio, and how the cost grows."""
    side = SIZES["tiny" if chosen.size == "tiny" else "paper"].matrix_side
    side = side if runtime.device.type == "cuda" else min(side, CPU_SIDE)
    dtype = torch.float32 if table.fp32 else runtime.dtype

    def peak() -> float:
        return matrix_peak(runtime.device, dtype, side)

    suite.work(suite.items // max(PARTS))  # warm
    grown = [_measured(suite, suite.items // part, table.unit, runtime)[1] for part in PARTS]
    # The speed of a machine that is shared is not steady: each way has the mean of the peaks before and after it.
    first = peak()
    result, ours = _measured(suite, suite.items, table.unit, runtime)
    second = peak()
    expected, theirs = _measured(plain, plain.items, table.unit, runtime)
    peaks = {"suite": (first + second) / 2, "plain": (second + peak()) / 2}
    grown.append(ours)
    ratio = ours.rate(table.unit) / theirs.rate(table.unit)
    agreement = table.agree(result, expected)

    precision = str(dtype).removeprefix("torch.")
    shown = ", ".join(f"{value / 1e9:,.0f}" for value in peaks.values())
    print(f"### {table.title}\n")
    print(f"{device_name(runtime.device)}, {precision}; matrix products beside the suite's way and the plain one: "
          f"{shown} GFLOP/s; sizes: {chosen.size}\n")  # fmt: skip
    print(f"| way | {table.unit} | seconds | {table.unit} a second | share of the peak | peak memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(_line(suite.name, ours, table.unit, peaks["suite"]))
    print(_line(plain.name, theirs, table.unit, peaks["plain"]))
    print(f"\nRatio: **{ratio:.1f}**. {agreement}\n")
    print(_growth(grown, table.unit))
    if chosen.profile:
        with profile(activities=[ProfilerActivity.CPU, *_cuda_activity(runtime)]) as profiled:
            suite.work(suite.items // max(PARTS))
        order = f"self_{runtime.device.type}_time_total"
        print(f"```\n{profiled.key_averages().table(sort_by=order, row_limit=PROFILED_ROWS)}\n```\n")
    if chosen.json:
        write_json(chosen.json, {
            "title": table.title, "device": device_name(runtime.device), "precision": precision, "peak_flops": peaks,
            "suite": [asdict(measured) for measured in grown], "plain": asdict(theirs), "ratio": ratio,
        })  # fmt: skip


def _cuda_activity(runtime: Runtime) -> list[ProfilerActivity]:
    return [ProfilerActivity.CUDA] if runtime.device.type == "cuda" else []


def _measured(way: Way, items: int, unit: str, runtime: Runtime) -> tuple[Any, Measured]:
    outcomes: list[tuple[Any, float]] = []
    reset_peak_memory(runtime.device)
    seconds = seconds_of(lambda: outcomes.append(way.work(items)), runtime.device, warm_up=False)
    result, flops = outcomes[0]
    return result, Measured({unit: items}, flops, seconds, peak_memory(runtime.device))


def _line(name: str, measured: Measured, unit: str, peak: float) -> str:
    share = f"{100 * measured.flops / measured.seconds / peak:.0f} %"
    return (
        f"| {name} | {measured.items[unit]:,} | {measured.seconds:.1f} | {measured.rate(unit):,.4g} | {share} "
        f"| {measured.memory_bytes / 1e9:.2f} GB |"
    )


def _growth(grown: list[Measured], unit: str) -> str:
    """How the suite's cost grows: a column a size."""
    rows = [
        (unit, *(f"{measured.items[unit]:,}" for measured in grown)),
        ("---",) * (1 + len(grown)),
        ("seconds", *(f"{measured.seconds:.2f}" for measured in grown)),
        (f"{unit} a second", *(f"{measured.rate(unit):,.4g}" for measured in grown)),
        ("peak memory, GB", *(f"{measured.memory_bytes / 1e9:.2f}" for measured in grown)),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def equal_rows(ours: list, theirs: list, what: str) -> str:
    """For `Table.agree`: how many of the plain way's results the suite has as well, in the same place."""
    same = sum(a == b for a, b in zip(ours, theirs, strict=False))
    return f"{same} of {len(theirs)} {what} are equal."
