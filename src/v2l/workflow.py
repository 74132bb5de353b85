"""What the Snakefile needs of the package; cheap to import, so that a dry run stays quick."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from v2l.assets.pins import load_asset, load_assets, load_pin
from v2l.config.tree import Config, parse_config
from v2l.errors import V2LError
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


def parameters(config: Config, stage: str) -> str:
    """The parameters of a stage as one comparable string."""
    return yaml.safe_dump(stage_parameters(STAGES[stage], config), default_flow_style=True, width=10**6).strip()


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


def option(name: str, files: str | Sequence[str]) -> str:
    """``--name FILE``, the first of several, or nothing where there is no file."""
    first = files if isinstance(files, str) else next(iter(files), "")
    return f"--{name} {first}" if first else ""
