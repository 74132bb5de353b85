"""The ``v2l`` command: translates words into calls with a typed configuration and paths. No logic of its own."""

import argparse
import logging
import sys
from functools import partial
from pathlib import Path

from v2l import __version__
from v2l.config.tree import load_config
from v2l.errors import V2LError
from v2l.graph.spec import Spec, Stage
from v2l.release.commands import add_commands as add_release_commands
from v2l.shards import Shard
from v2l.stages import STAGES
from v2l.versioning.commands import add_commands as add_versioning_commands


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _example(stage: Stage) -> str:
    words = [f"v2l {stage.name} --config config/demo.yaml"]
    words += [
        f"{_option(name)} {spec.example}" for name, spec in {**stage.options, **stage.inputs, **stage.outputs}.items()
    ]
    return " \\\n      ".join(words)


def _add_stage(subparsers: argparse._SubParsersAction, stage: Stage) -> None:
    parser = _add_command(subparsers, stage.name, stage.summary, _example(stage))
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="configuration, e.g. config/demo.yaml"
    )
    for name, spec in stage.options.items():
        parser.add_argument(_option(name), required=True, help=spec.description)
    for kind, specs in (("input", stage.inputs), ("output", stage.outputs)):
        group = parser.add_argument_group(f"{kind} files")
        for name, spec in specs.items():
            # A rule names an optional input also where it has no file for it.
            many = spec.asset or spec.each
            number = ("*" if many else "?") if spec.optional else ("+" if many else None)
            group.add_argument(
                _option(name), type=Path, nargs=number, required=not spec.optional, metavar="FILE", help=_help(spec)
            )
    parser.add_argument(
        "--needs",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="files read through the configuration, for the record",
    )
    if stage.shards:
        parser.add_argument("--shard", metavar="I-of-N", help="handle only this part of the items, e.g. 3-of-7")
    parser.add_argument("--log", type=Path, metavar="FILE", help="also write the log here")
    parser.set_defaults(execute=lambda arguments: _run_stage(stage, arguments))


def _help(spec: Spec) -> str:
    return spec.description + ("; the files it lists may follow" if spec.asset else "")


def _run_stage(stage: Stage, arguments: argparse.Namespace) -> None:
    from v2l.runner import run_stage

    def given(names: dict) -> dict:
        return {name: getattr(arguments, name) for name in names if getattr(arguments, name)}

    inputs, needs = given(stage.inputs), list(arguments.needs)
    for name in inputs:
        if stage.inputs[name].asset:
            inputs[name], *listed = inputs[name]
            needs += listed
    config, options = load_config(arguments.config), given(stage.options)
    shard = {"shard": Shard.parse(arguments.shard)} if getattr(arguments, "shard", None) else {}
    run_stage(stage, config, inputs, given(stage.outputs), options, needs, **shard)


def _add_merge(subparsers: argparse._SubParsersAction) -> None:
    example = (
        "v2l merge caption --parts results/demo/caption/shards/1-of-2.parquet "
        "results/demo/caption/shards/2-of-2.parquet --into results/demo/caption/predictions.parquet"
    )
    parser = _add_command(subparsers, "merge", "Put the parts of a sharded stage's outputs together.", example)
    parser.add_argument("stage", choices=[name for name, stage in STAGES.items() if stage.shards])
    parser.add_argument(
        "--parts", type=Path, nargs="+", required=True, metavar="FILE", help="of the first output, then of the next"
    )
    parser.add_argument("--into", type=Path, nargs="+", required=True, metavar="FILE", help="the stage's outputs")
    parser.add_argument("--log", type=Path, metavar="FILE", help="also write the log here")

    def run(arguments: argparse.Namespace) -> None:
        from v2l.runner import merge_stage

        merge_stage(STAGES[arguments.stage], arguments.parts, arguments.into)

    parser.set_defaults(execute=run)


def _add_summary(subparsers: argparse._SubParsersAction) -> None:
    parser = _add_command(
        subparsers, "summary", "Print the main figures of a finished run.", "v2l summary --config config/demo.yaml"
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration of the run")

    def run(arguments: argparse.Namespace) -> None:
        from v2l.report.summary import summary

        config = load_config(arguments.config)
        print(summary(config, Path("results") / config.name))

    parser.set_defaults(execute=run)


def _add_trace(subparsers: argparse._SubParsersAction) -> None:
    example = 'v2l trace results/demo/tables/index.json table1 "V2L, 5-way, Kg=5" average'
    parser = _add_command(subparsers, "trace", "Follow a table cell back to its rows, prompts and settings.", example)
    parser.add_argument("index", type=Path, help="index.json of a tables folder")
    parser.add_argument("table", help="table1 to table7, ablations or claims")
    parser.add_argument("row", help="the row as printed")
    parser.add_argument("column", help="the column as printed")

    def run(arguments: argparse.Namespace) -> None:
        from v2l.report.trace import trace

        print(trace(arguments.index, arguments.table, arguments.row, arguments.column))

    parser.set_defaults(execute=run)


def _add_tokenize(subparsers: argparse._SubParsersAction) -> None:
    example = "v2l tokenize results/demo/data/pictures/noto/ant.png --reconstruction ant.png"
    parser = _add_command(subparsers, "tokenize", "Translate a picture into words and local tokens.", example)
    parser.add_argument("image", type=Path, help="a picture of any common format")
    parser.add_argument(
        "--results", type=Path, default=Path("results/demo"), help="finished run (default: %(default)s)"
    )
    parser.add_argument("--reconstruction", type=Path, metavar="PNG", help="write the picture decoded from its tokens")

    def run(arguments: argparse.Namespace) -> None:
        from v2l.tokenizer.api import V2LTokenizer

        tokenizer = V2LTokenizer.load(arguments.results)
        tokens = tokenizer.encode(arguments.image)
        print("words:", ", ".join(tokens.words))
        print("local token ids:", " ".join(map(str, tokens.local_ids)))
        if arguments.reconstruction is not None:
            tokenizer.decode(tokens.global_ids, tokens.local_ids).save(arguments.reconstruction)

    parser.set_defaults(execute=run)


def _add_command(
    subparsers: argparse._SubParsersAction, name: str, summary: str, example: str
) -> argparse.ArgumentParser:  # fmt: skip
    return subparsers.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="v2l",
        description="Reproduces the experiments of the V2L Tokenizer (arXiv 2403.07874), a subcommand a stage.",
        epilog="The whole run: make demo. One command: v2l COMMAND --help",
    )
    parser.add_argument("--version", action="version", version=f"v2l {__version__}")
    subparsers = parser.add_subparsers(title="commands and stages", metavar="COMMAND", required=True)
    for add in (_add_tokenize, _add_summary, _add_trace, _add_merge):
        add(subparsers)
    for add_all in (add_versioning_commands, add_release_commands):
        add_all(partial(_add_command, subparsers))
    for stage in STAGES.values():
        _add_stage(subparsers, stage)
    return parser


def _set_up_logging(log: Path | None) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log, mode="w", encoding="utf-8"))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers)
    logging.getLogger("v2l").setLevel(logging.INFO)


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, or 1 after one line on standard error that says what was wrong."""
    parsed = build_parser().parse_args(arguments)
    _set_up_logging(getattr(parsed, "log", None))
    try:
        parsed.execute(parsed)
    except V2LError as error:
        logging.getLogger("v2l").error("error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
