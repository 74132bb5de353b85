"""Stages in parts: what they make is what the whole stage makes, byte for byte."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from v2l.artifacts import sha256_file
from v2l.config.tree import Config, load_config
from v2l.runner import Inputs, merge_stage, run_stage
from v2l.shards import Shard
from v2l.stages import STAGES

REPOSITORY = Path(__file__).resolve().parents[1]


def configured(sections: Mapping[str, Any]) -> Config:
    """The smoke configuration with other sections, by dotted keys; in fp32 on one CPU thread, in small batches."""
    config: Any = load_config(REPOSITORY / "config" / "smoke.yaml")
    small = {"runtime.image_batch": 4, "runtime.llm_batch_tokens": 2048, "runtime.device": "cpu", "threads": 1}
    for key, value in {"precision": "fp32", **small, **sections}.items():
        config = _changed(config, key.split("."), value)
    return config


def _changed(node: Any, parts: list[str], value: Any) -> Any:
    first, *rest = parts
    if isinstance(node, Mapping):
        return {**node, first: _changed(node[first], rest, value) if rest else value}
    return node.model_copy(update={first: _changed(getattr(node, first), rest, value) if rest else value})


def assert_parts_make_the_whole(
    name: str,
    sections: Mapping[str, Any],
    inputs: Inputs,
    folder: Path,
    counts: tuple[int, ...] = (2, 7),
    options: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Runs a stage whole and in each number of parts, which it puts together. Returns what the whole stage writes."""
    stage, config = STAGES[name], configured(sections)

    def outputs(place: str) -> dict[str, Path]:
        (folder / place).mkdir(parents=True)
        return {key: folder / place / f"{key}{Path(spec.path).suffix}" for key, spec in stage.outputs.items()}

    whole = outputs("whole")
    run_stage(stage, config, inputs, whole, options)
    for count in counts:
        shards = [Shard(number, count) for number in range(1, count + 1)]
        parts = [outputs(str(shard)) for shard in shards]
        for shard, part in zip(shards, parts, strict=True):
            run_stage(stage, config, inputs, part, options, shard=shard)
        merged = outputs(f"of {count}")
        merge_stage(stage, [part[key] for key in merged for part in parts], list(merged.values()))
        assert {key: sha256_file(path) for key, path in merged.items()} == {
            key: sha256_file(path) for key, path in whole.items()
        }, f"{name} in {count} parts"
    return whole
