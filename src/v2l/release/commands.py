"""The commands about the authors' released files: ``import-release`` and ``check-parity``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

AddCommand = Callable[[str, str, str], argparse.ArgumentParser]


def add_commands(add_command: AddCommand) -> None:
    """Adds each command; add_command takes its name, its summary and an example."""
    parser = add_command(
        "import-release",
        "Take over the authors' released codebooks and checkpoint as artifacts of a run.",
        "v2l import-release downloads/v2l-release --config config/release.yaml",
    )
    parser.add_argument("folder", type=Path, help="the released files, in it or in folders below")
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("config/release.yaml"),
        metavar="FILE",
        help="the run, whose tokenizers.v2l says image_size_px and num_global (default: %(default)s)",
    )
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="which one, if the folder has several")
    parser.add_argument("--log", type=Path, metavar="FILE", help="also write the log here")
    parser.set_defaults(execute=_import_release)
    example = "v2l check-parity official.checkpoint.safetensors official.expected.safetensors official.json"
    parser = add_command(
        "check-parity", "Compare a released checkpoint's outputs here with those of the authors' code.", example
    )
    parser.add_argument("checkpoint", type=Path, help="safetensors or .pth, in the release's key names")
    parser.add_argument("expected", type=Path, help="safetensors: inputs, and the outputs of the authors' code")
    parser.add_argument("spec", type=Path, help="JSON: ddconfig, top_k, image_size")
    parser.set_defaults(execute=_check_parity)


def _import_release(arguments: argparse.Namespace) -> None:
    from v2l.config.tree import load_config
    from v2l.graph.release import RELEASE
    from v2l.graph.spec import MAIN_TOKENIZER, RESULTS
    from v2l.release.files import find_files
    from v2l.runner import run_stage
    from v2l.workflow import write_config

    config = load_config(arguments.config)
    results = Path("results") / config.name
    options = {"codebook": config.vocab.main, "name": MAIN_TOKENIZER}
    paths = {name: spec.path.removeprefix(RESULTS).format(**options) for name, spec in RELEASE.outputs.items()}
    inputs = find_files(arguments.folder, arguments.checkpoint)
    run_stage(RELEASE, config, inputs, {name: results / path for name, path in paths.items()}, options)
    write_config(config, results / "config.yaml")


def _check_parity(arguments: argparse.Namespace) -> None:
    from v2l.release.parity import check_parity

    comparisons = check_parity(arguments.checkpoint, arguments.expected, arguments.spec)
    for comparison in comparisons:
        print(comparison)
    if not all(comparison.passed for comparison in comparisons):
        sys.exit(1)
