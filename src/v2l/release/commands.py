"""The commands about the authors' released files: ``check-parity``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

AddCommand = Callable[[str, str, str], argparse.ArgumentParser]


def add_commands(add_command: AddCommand) -> None:
    """Adds each command; add_command takes its name, its summary and an example."""
    example = "v2l check-parity official.checkpoint.safetensors official.expected.safetensors official.json"
    parser = add_command(
        "check-parity", "Compare a released checkpoint's outputs here with those of the authors' code.", example
    )
    parser.add_argument("checkpoint", type=Path, help="safetensors in the release's key names")
    parser.add_argument("expected", type=Path, help="safetensors: inputs, and the outputs of the authors' code")
    parser.add_argument("spec", type=Path, help="JSON: ddconfig, top_k, image_size")
    parser.set_defaults(execute=_check_parity)


def _check_parity(arguments: argparse.Namespace) -> None:
    from v2l.release.parity import check_parity

    comparisons = check_parity(arguments.checkpoint, arguments.expected, arguments.spec)
    for comparison in comparisons:
        print(comparison)
    if not all(comparison.passed for comparison in comparisons):
        sys.exit(1)
