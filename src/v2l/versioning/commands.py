"""The commands about stored results: ``pipeline``, ``record``, ``review`` and ``verify``."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from v2l.config.tree import load_config
from v2l.errors import ArtifactError

AddCommand = Callable[[str, str, str], argparse.ArgumentParser]
PIPELINE = Path("dvc.yaml")

logger = logging.getLogger(__name__)


def add_commands(add_command: AddCommand) -> None:
    """Adds each command; add_command takes its name, its summary and an example."""

    def add(name: str, summary: str, example: str, run: Callable[[argparse.Namespace], None]):
        parser = add_command(name, summary, example)
        parser.add_argument(
            "--config", type=Path, default=Path("config/demo.yaml"), metavar="FILE", help="default: %(default)s"
        )
        parser.set_defaults(execute=run)
        return parser

    add("pipeline", "Write dvc.yaml from the Snakemake graph.", "v2l pipeline --check", _pipeline).add_argument(
        "--check", action="store_true", help="write nothing; fail if dvc.yaml is not what it would be"
    )
    add("record", "Put a finished run on record: digests, Snakemake's records, DVC's lock.", "v2l record", _record)
    add("review", "Make tables and figures anew from stored predictions and compare them.", "v2l review", _review)
    add("verify", "Compare a run with the published snapshot.", "v2l verify --revision HEAD", _verify).add_argument(
        "--revision", default="HEAD", help="git revision that holds the snapshot (default: HEAD)"
    )


def _results(config: Path) -> Path:
    return Path("results") / load_config(config).name


def _pipeline(arguments: argparse.Namespace) -> None:
    from v2l.versioning.pipeline import pipeline_text

    text = pipeline_text(arguments.config)
    if not arguments.check:
        PIPELINE.write_text(text, encoding="utf-8")
    elif not PIPELINE.is_file() or PIPELINE.read_text(encoding="utf-8") != text:
        command = f"v2l pipeline --config {arguments.config}"
        raise ArtifactError(f"{PIPELINE}: not what the graph of {arguments.config} gives; make it anew: {command}")


def _record(arguments: argparse.Namespace) -> None:
    from v2l.versioning.dvc import commit
    from v2l.versioning.record import record

    record(arguments.config, _results(arguments.config))
    if PIPELINE.is_file() and f"--configfile {arguments.config} " not in PIPELINE.read_text(encoding="utf-8"):
        logger.info("%s is that of another configuration, so DVC's lock stays as it is", PIPELINE)
    else:
        commit()


def _review(arguments: argparse.Namespace) -> None:
    from v2l.versioning.review import review

    print(review(load_config(arguments.config), _results(arguments.config)))


def _verify(arguments: argparse.Namespace) -> None:
    from v2l.versioning.verify import verify

    text, passed = verify(_results(arguments.config), arguments.revision)
    print(text)
    if not passed:
        sys.exit(1)
