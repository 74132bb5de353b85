"""The commands about stored results: ``pipeline``, ``record``, ``review`` and ``verify``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from v2l.config.tree import load_config
from v2l.errors import ArtifactError

AddCommand = Callable[[str, str, str], argparse.ArgumentParser]


def add_commands(add_command: AddCommand) -> None:
    """Adds each command; add_command takes its name, its summary and an example."""
    for add in (_add_pipeline, _add_record, _add_review, _add_verify):
        add(add_command)


def _results(config: Path) -> Path:
    return Path("results") / load_config(config).name


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=Path("config/demo.yaml"), metavar="FILE", help="configuration")


def _add_pipeline(add_command: AddCommand) -> None:
    parser = add_command("pipeline", "Write dvc.yaml from the Snakemake graph.", "v2l pipeline --check")
    _add_config(parser)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if dvc.yaml is not what it would be")
    parser.set_defaults(run=_pipeline)


def _pipeline(arguments: argparse.Namespace) -> None:
    from v2l.versioning.pipeline import pipeline_text

    file, text = Path("dvc.yaml"), pipeline_text(arguments.config)
    if not arguments.check:
        file.write_text(text, encoding="utf-8")
    elif not file.is_file() or file.read_text(encoding="utf-8") != text:
        raise ArtifactError(
            f"{file}: not what the graph of {arguments.config} gives; make it anew: v2l pipeline --config "
            f"{arguments.config}"
        )


def _add_record(add_command: AddCommand) -> None:
    parser = add_command(
        "record", "Put a finished run on record: digests, Snakemake's records, DVC's lock.", "v2l record"
    )
    _add_config(parser)
    parser.set_defaults(run=_record)


def _record(arguments: argparse.Namespace) -> None:
    from v2l.versioning.dvc import commit
    from v2l.versioning.record import record

    record(arguments.config, _results(arguments.config))
    commit()


def _add_review(add_command: AddCommand) -> None:
    parser = add_command(
        "review", "Make tables and figures anew from stored predictions and compare them.", "v2l review"
    )
    _add_config(parser)
    parser.set_defaults(run=_review)


def _review(arguments: argparse.Namespace) -> None:
    from v2l.versioning.review import review

    print(review(load_config(arguments.config), _results(arguments.config)))


def _add_verify(add_command: AddCommand) -> None:
    parser = add_command("verify", "Compare a run with the published snapshot.", "v2l verify --revision HEAD")
    _add_config(parser)
    parser.add_argument("--revision", default="HEAD", help="git revision that holds the snapshot (default: HEAD)")
    parser.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> None:
    from v2l.versioning.verify import verify

    text, passed = verify(_results(arguments.config), arguments.revision)
    print(text)
    if not passed:
        sys.exit(1)
