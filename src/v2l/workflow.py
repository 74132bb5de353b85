"""What the Snakefile needs of the package; cheap to import, so that a dry run stays quick."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from v2l.config.tree import Config, parse_config
from v2l.runner import stage_parameters
from v2l.stages import STAGES

EMBEDDED_LLM = Path("data/llm")


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


def parameters(config: Config, stage: str) -> str:
    """The parameters of a stage as one comparable string."""
    return yaml.safe_dump(stage_parameters(STAGES[stage], config), default_flow_style=True, width=10**6).strip()


def llm_files(config: Config) -> list[str]:
    """The asset that an embedded LLM comes from; nothing for a model from elsewhere."""
    return [str(EMBEDDED_LLM / "manifest.json")] if Path(config.llm.source) == EMBEDDED_LLM else []


def option(name: str, files: str | Sequence[str]) -> str:
    """``--name FILE``, or nothing where there is no file."""
    return f"--{name} {files}" if files else ""
