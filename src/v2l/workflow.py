"""What the Snakefile needs of the package; cheap to import, so that a dry run stays quick."""

import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from v2l.assets.pins import load_asset, load_assets, load_pin
from v2l.config.tokenizer import READS
from v2l.config.tree import Config, parse_config
from v2l.errors import V2LError
from v2l.graph.report import FIGURE_NAMES
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.runner import stage_parameters
from v2l.sources import stage_sources
from v2l.stages import STAGES

ARCHIVES = Path("data/archives")
ASSETS = tuple(load_assets())
EMBEDDED_LLM = "data/llm"


def read_workflow_config(tree: Any, files: Sequence[Path]) -> Config:
    """Validates the merged configuration that Snakemake read. Raises ConfigError that names the file."""
    return parse_config(tree, str(files[-1]) if files else "config/demo.yaml")


def write_config(config: Config, path: Path) -> None:
    """Writes the resolved configuration, defaults included, that all stages of this run read; untouched if equal."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def hold_lock(path: Path) -> None:
    """Keeps a second run out of this folder until this process ends, however it ends: nothing stale stays behind.

    Raises V2LError if another run holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)  # open, and locked, as long as the process lives
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise V2LError(f"{path}: another run is under way in this folder; wait for it or stop it") from None


def parameters(config: Config, stage: str, options: Mapping[str, str]) -> str:
    """The parameters of a stage as one comparable string."""
    values = stage_parameters(STAGES[stage], config, options)
    return yaml.safe_dump(values, default_flow_style=True, width=10**6).strip()


def command(name: str) -> str:
    """The shell command of a stage, in Snakemake's names for what its rule has.

    The rule's wildcards are the stage's options; its inputs and outputs have the stage's names. A folder that is
    written is a parameter, as rules list its files.
    """
    stage = STAGES[name]
    words = [f"v2l {name} --config {{CONFIG}}"]
    words += [f"--{option} {{wildcards.{option}}}" for option in stage.options]
    words += ["--needs {input.needs}"] if stage.reads_named_files else []
    words += [f"--{_dashed(key)} {{input.{key}}}" for key in stage.inputs]
    words += [
        f"--{_dashed(key)} {{params.folder}}" if key == "folder" else f"--{_dashed(key)} {{output.{key}}}"
        for key in stage.outputs
    ]
    words += ["{params.shard}"] if stage.shards else []
    return " ".join([*words, "--log {log}"])


def merge_command(name: str) -> str:
    """The shell command that puts the shards of a stage's outputs together."""
    return f"v2l merge {name} --parts {{input.parts}} --into {{output}} --log {{log}}"


def shard_option(wildcards: Mapping[str, str]) -> str:
    """What makes a stage handle the part that Snakemake names."""
    return f"--shard {wildcards['scatteritem']}"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def code_files(stage: str) -> list[str]:
    """The files of the package that a stage's code is in, relative to the working folder where they lie in it."""
    here = Path.cwd()
    return [str(file.relative_to(here) if file.is_relative_to(here) else file) for file in stage_sources(STAGES[stage])]


def archive_hash(archive: str) -> str:
    """The pinned SHA-256 of an archive, given by its path or name."""
    return load_pin(Path(archive).name).sha256


def archive_files(asset: str) -> list[str]:
    """The archives of an asset."""
    return [str(ARCHIVES / pin.archive) for pin in load_asset(asset).packages]


def asset_files(asset: str) -> list[str]:
    """The files of an unpacked asset, its manifest first."""
    return [f"data/{asset}/{name}" for name in ("manifest.json", *load_asset(asset).installs)]


def llm_files(config: Config) -> list[str]:
    """The files of an embedded LLM; nothing for a model from elsewhere."""
    return asset_files("llm") if config.llm.source == EMBEDDED_LLM else []


def listed_episodes(config: Config) -> list[str]:
    """The release's lists of episodes; nothing where episodes are drawn."""
    return [str(path) for path in config.episodes.release or []]


def release_files(config: Config) -> list[str]:
    """The authors' released files. Raises ArtifactError if one is missing."""
    from v2l.release.files import find_files

    return [str(path) for path in find_files(config.release).values()]


def trained(config: Config) -> list[str]:
    """The tokenizers that this run trains: all but one that the authors released."""
    return [name for name in config.tokenizers if config.release is None or name != MAIN_TOKENIZER]


def figure_names(config: Config) -> list[str]:
    """The figures of this run; where nothing is trained there are no training curves."""
    return [name for name in FIGURE_NAMES if name != "curves" or trained(config)]


def read_by(config: Config, tokenizer: str, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Of the files that training may read, those that this tokenizer's kind does; the others are empty."""
    wanted = READS[config.tokenizers[tokenizer].kind]
    return {name: files if name in wanted else [] for name, files in sources.items()}
