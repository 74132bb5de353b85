"""What a configuration of the paper's scale costs: throughput on the device at hand, and GPU hours by stage.

    python -m benchmarks.paper_scale --config config/paper.yaml [--size tiny|paper] [--json OUT]
    python -m benchmarks.paper_scale --config config/paper.yaml --plan 120 10

Weights are random and pictures noise, neither of which a GPU's speed depends on; the code is the suite's own
(docs/performance.md).
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch

from v2l.artifacts import write_json
from v2l.config.clip import OpenClipConfig
from v2l.config.sources import SourcesConfig
from v2l.config.tree import Config, load_config
from v2l.errors import ConfigError, V2LError
from v2l.runtime import Runtime, resolve_runtime, seed_libraries

from .common.machine import Measured, device_name, matrix_peak, seconds_of
from .common.sizes import SIZES, Size
from .common.stand_ins import random_llm
from .scale.counts import Lengths, num_parameters, num_pictures
from .scale.language import measure_language
from .scale.pictures import measure_pictures
from .scale.planned import planned
from .scale.table import Row, hours_table, measured_table, rows

CPU = torch.device("cpu")


def main() -> None:
    options = parse(sys.argv[1:])
    try:
        run(options)
    except V2LError as error:
        sys.exit(f"paper_scale: {error}")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--config", type=Path, required=True, help="a configuration of kind sources and open_clip")
    parser.add_argument("--size", choices=SIZES, help="of the networks; default: paper on a GPU, else tiny")
    parser.add_argument("--force", action="store_true", help="the paper's sizes even on a CPU: takes hours")
    parser.add_argument(
        "--plan",
        type=float,
        nargs=2,
        metavar=("TFLOPS", "FP32_TFLOPS"),
        help="measure nothing: count FLOPs, and take a GPU to sustain so many a second in bf16 and in fp32",
    )
    parser.add_argument("--gpus", type=int, default=32, help="that share train.batch_size (default: the paper's 32)")
    parser.add_argument(
        "--tokens-per-word",
        type=float,
        default=Lengths.ngram,
        help="of a global word (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    if options.gpus < 1 or options.tokens_per_word < 1:
        parser.error("--gpus and --tokens-per-word: expected 1 or more")
    if options.plan and min(options.plan) <= 0:
        parser.error("--plan: expected rates above 0")
    return options


def run(options: argparse.Namespace) -> None:
    """Measures, prints Markdown. Raises ConfigError for a configuration or device that does not fit."""
    config = load_config(options.config)
    if not isinstance(config.data, SourcesConfig) or not isinstance(config.clip, OpenClipConfig):
        raise ConfigError(f"{options.config}: expected data.kind sources and clip.kind open_clip, as config/paper.yaml")
    num_parameters(config.llm.source), num_pictures(config.data)  # both raise
    if options.plan:
        plan(config, options)
        return
    on_gpu = torch.cuda.is_available() and config.runtime.device != "cpu"
    name = options.size or ("paper" if on_gpu else "tiny")
    if name == "paper" and not on_gpu and not options.force:
        raise ConfigError("--size paper needs a GPU, found none; --size tiny tries the script out, --force insists")
    size, lengths = SIZES[name], replace(Lengths(), ngram=options.tokens_per_word)
    runtime = resolved(config, size)
    seed_libraries(config.seed, "benchmark")  # every stage runs with torch's deterministic kernels
    peaks = {
        fp32: matrix_peak(runtime.device, torch.float32 if fp32 else runtime.dtype, size.matrix_side)
        for fp32 in (False, True)
    }
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(config, size, runtime, options.gpus, lengths, Path(folder))
    counted = rows(config, lengths, random_llm(SIZES["tiny"], replace(runtime, device=CPU)))
    usable = measured if on_gpu and name == "paper" else {}
    report(config, name, runtime, peaks, measured, counted, usable)
    if options.json:
        write_json(options.json, record(name, runtime, peaks, measured, counted, usable))


def plan(config: Config, options: argparse.Namespace) -> None:
    """Prints the hours that follow from FLOPs at the rates that are taken for granted."""
    size, lengths = SIZES[options.size or "paper"], replace(Lengths(), ngram=options.tokens_per_word)
    runtime = replace(resolved(config, size), device=CPU, dtype=torch.float32)
    rates = {fp32: 1e12 * rate for fp32, rate in zip((False, True), options.plan, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        found = dict(planned(config, size, runtime, options.gpus, lengths, rates, Path(folder)))
    counted = rows(config, lengths, random_llm(SIZES["tiny"], runtime))
    taken = "{:g} TFLOP/s, in fp32 {:g}".format(*options.plan)
    print(f"Not measured: FLOPs at {taken}; sizes: {options.size or 'paper'}")
    print(f"\nExpected GPU hours by stage, results/{config.name}\n")
    print(hours_table(counted, found))
    if options.json:
        write_json(options.json, {"rates": rates, "planned": {key: asdict(each) for key, each in found.items()}})


def resolved(config: Config, size: Size) -> Runtime:
    """The configured runtime, in a small size with small batches on one thread."""
    runtime = resolve_runtime(config.runtime, config.precision, config.threads if size.batch is None else 1)
    return replace(runtime, llm_batch_tokens=size.batch_tokens or runtime.llm_batch_tokens)


def measure(
    config: Config, size: Size, runtime: Runtime, gpus: int, lengths: Lengths, folder: Path
) -> dict[str, Measured]:
    """What was measured, by name; a group ends where the GPU's memory does."""

    def groups() -> Iterator[Iterator[tuple[str, Measured]]]:
        def clock(work: Callable[[], object], times: int) -> float:
            return seconds_of(work, runtime.device, times)

        yield measure_pictures(config, size, runtime, gpus, folder, clock)
        yield measure_language(config, size, runtime, lengths)

    measured: dict[str, Measured] = {}
    for group in groups():
        try:
            for name, each in group:
                measured[name] = each
                print(f"{name}: done", file=sys.stderr)
        except torch.OutOfMemoryError as error:
            print(f"out of memory, the rest of this group is left out: {str(error).splitlines()[0]}", file=sys.stderr)
        if runtime.device.type == "cuda":
            torch.cuda.empty_cache()
    return measured


def report(
    config: Config,
    name: str,
    runtime: Runtime,
    peaks: dict[bool, float],
    measured: dict[str, Measured],
    counted: list[Row],
    usable: dict[str, Measured],
) -> None:
    """Prints the Markdown that docs/performance.md has a place for."""
    precision = str(runtime.dtype).removeprefix("torch.")
    print(
        f"{device_name(runtime.device)}, torch {torch.__version__}, {precision}; matrix products: "
        f"{peaks[False] / 1e12:,.4g} TFLOP/s, in fp32 {peaks[True] / 1e12:,.4g}; sizes: {name}\n"
    )
    print(measured_table(measured, peaks))
    print(f"\nExpected GPU hours by stage, results/{config.name}\n")
    print(hours_table(counted, usable))
    if not usable:
        print("\nGPU hours need a run with --size paper on a GPU.")


def record(
    name: str,
    runtime: Runtime,
    peaks: dict[bool, float],
    measured: dict[str, Measured],
    counted: list[Row],
    usable: dict[str, Measured],
) -> dict[str, object]:
    return {
        "device": device_name(runtime.device),
        "torch": torch.__version__,
        "precision": str(runtime.dtype),
        "size": name,
        "peak_flops": {"precision": peaks[False], "fp32": peaks[True]},
        "measured": {key: asdict(each) for key, each in measured.items()},
        "stages": [{**asdict(row), "gpu_hours": row.hours(usable)} for row in counted],
    }


if __name__ == "__main__":
    main()
