"""``dvc.yaml``, made from the graph that Snakemake builds: nothing in it is written by hand.

A DVC stage is a family of rules; it asks Snakemake for their outputs, and Snakemake decides what inside it is
stale. Large artifacts go to DVC's cache, small ones (metrics, tables, figures) stay in git.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import yaml

from v2l.config.tree import load_config
from v2l.errors import ConfigError
from v2l.graph.spec import Stage
from v2l.runner import stage_parameters
from v2l.stages import STAGES
from v2l.versioning.dag import GraphJob, graph_jobs

HEADER = (
    "# Made by `v2l pipeline` from the Snakemake graph: change workflow/ or the configuration, then make it anew.\n"
)
RAW = "data/archives/"  # the raw inputs, pinned by data.dvc
CACHED = {".parquet", ".safetensors", ".html"}
# Activated or not, the environment that the Makefile makes.
COMMAND = 'PATH="$PWD/.venv/bin:$PATH" snakemake --configfile {config} -- {targets}'


def pipeline_text(config: Path) -> str:
    """The whole of ``dvc.yaml`` for one configuration. Raises ConfigError if a stage uses a key that is not in it."""
    jobs = [job for job in graph_jobs(config) if any(name for name in job.outputs if not name.startswith(RAW))]
    families: dict[str, list[GraphJob]] = {}
    for job in jobs:
        families.setdefault(_stage(job.rule).family, []).append(job)
    results = f"results/{load_config(config).name}"
    content = {
        "stages": {family: _family(members, config) for family, members in families.items()},
        "plots": _plots(results),
    }
    return HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _stage(rule: str) -> Stage:
    """The stage that a rule runs: the one of its name, or of the first word where there is a rule for each item."""
    name = rule.removeprefix("make_").removeprefix("merge_").removesuffix("_shard").replace("_", "-")
    return STAGES[name if name in STAGES else name.partition("-")[0]]


def _family(jobs: Sequence[GraphJob], config: Path) -> dict[str, Any]:
    lasting = [job for job in jobs if not job.temporary]
    outputs = [name for job in lasting for name in job.outputs]
    inputs = sorted({name for job in jobs for name in job.inputs} - {name for job in jobs for name in job.outputs})
    cached = [name for name in outputs if _is_cached(name)]
    kept = [name for name in outputs if not _is_cached(name)]
    metrics = [name for name in kept if PurePath(name).name == "metrics.json"]
    others = [name for name in kept if name not in metrics]
    stage = {
        "cmd": COMMAND.format(config=config, targets=" ".join(dict.fromkeys(job.target for job in lasting))),
        "deps": inputs,
        "params": [{str(config): keys}] if (keys := _keys(jobs, config)) else [],
        # Snakemake removes what it makes anew; DVC must not, or it would all be made anew.
        "outs": [*_flagged(cached, persist=True), *_flagged(others, persist=True, cache=False)],
        "metrics": _flagged(metrics, persist=True, cache=False),
    }
    return {key: value for key, value in stage.items() if value}


def _is_cached(name: str) -> bool:
    suffix = PurePath(name).suffix
    return name.startswith("data/") or suffix in CACHED or suffix == ""


def _flagged(names: Iterable[str], **flags: bool) -> list[dict[str, Mapping[str, bool]]]:
    return [{name: flags} for name in names]


def _keys(jobs: Iterable[GraphJob], config: Path) -> list[str]:
    """Keys of the configuration that the results of these jobs depend on."""
    whole, given = load_config(config), yaml.safe_load(config.read_text(encoding="utf-8"))
    keys = sorted({key for job in jobs for key in stage_parameters(_stage(job.rule), whole, job.wildcards)})
    for key in keys:
        section = given
        for part in key.split("."):
            if not isinstance(section, dict) or part not in section:
                raise ConfigError(f"{config}: {key}: missing; DVC can only follow keys that are written down")
            section = section[part]
    return keys


def _plots(results: str) -> list[dict[str, Any]]:
    return [
        {
            "training curves": {
                "x": "step",
                "y": {f"{results}/tokenizer/curves_v2l.csv": ["total", "reconstruction", "perceptual"]},
                "title": "Loss terms of the tokenizer",
            }
        },
        {
            "few-shot accuracy": {
                "template": "bar_horizontal",
                "x": {f"{results}/figures/few_shot.csv": "value"},
                "y": {f"{results}/figures/few_shot.csv": "setting"},
                "title": "Few-shot accuracy (%)",
            }
        },
    ]
