"""Runs one stage: checks its inputs, hands it typed parameters, makes its outputs complete or absent, and records
where they came from.

A stage function writes to temporary names in the folder of its outputs; they are renamed once all are complete. Beside
every output lies ``<output>.provenance.json``: parameters and their hash, seed, code version, hashes of the inputs and
of the output, wall time, peak memory and device.
"""

import logging
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from v2l import __version__
from v2l.artifacts import provenance_path, read_json, sha256_file, stable_hash, write_empty, write_json
from v2l.config.base import Section
from v2l.config.tree import Config, get_section
from v2l.errors import ArtifactError
from v2l.graph.spec import Stage
from v2l.launch import Call, launch, plan_processes
from v2l.shards import WHOLE, EmptyPart, Shard

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
CODE_FOLDERS = (":/src", ":/workflow", ":/config")  # results lie in the checkout too, and change with every run
CPU_INFO = Path("/proc/cpuinfo")
UMASK = os.umask(0)
os.umask(UMASK)  # it can only be read by setting it


Inputs = Mapping[str, Path | Sequence[Path]]


def section_keys(stage: Stage, options: Mapping[str, str]) -> dict[str, str]:
    """The configuration key of every section that the stage gets, by the name it gets it under."""
    return {name: key.format(**options) for name, key in stage.params.items()}


def stage_parameters(stage: Stage, config: Config, options: Mapping[str, str]) -> dict[str, Any]:
    """The values a stage's result depends on, as plain data: its sections, and, where it uses them, the seed, the
    precision and the number of threads. options: as the stage is called, e.g. which tokenizer it trains."""
    sections = {key: _plain(get_section(config, key)) for key in section_keys(stage, options).values()}
    seed = {"seed": config.seed} if stage.seeded else {}
    arithmetic = {"precision": config.precision, "threads": config.threads} if stage.compute else {}
    return {**sections, **seed, **arithmetic}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value.model_dump(mode="json") if isinstance(value, Section) else value


def code_version() -> str:
    """Package version and, in a git checkout, the commit, marked when code or configuration differ from it."""
    if shutil.which("git") is None:
        return __version__

    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", *words], cwd=FOLDER, capture_output=True, text=True, check=False)

    described = git("describe", "--always", "--abbrev=12")
    if described.returncode != 0:
        return __version__
    changed = git("diff", "--quiet", "HEAD", "--", *CODE_FOLDERS).returncode != 0
    return f"{__version__}+{described.stdout.strip()}{'-dirty' if changed else ''}"


def machine() -> str:
    """The machine type that equal bytes can be expected on: processor, and version of Python."""
    text = CPU_INFO.read_text(encoding="utf-8") if CPU_INFO.is_file() else ""
    facts = dict(re.findall(r"^(vendor_id|cpu family|model|model name)\s*: (.+)$", text, re.MULTILINE))
    processor = ", ".join(facts.values()) or platform.processor()
    return f"{processor}, {platform.machine()}, Python {sys.version_info.major}.{sys.version_info.minor}"


def _input_hash(path: Path) -> str:
    """SHA-256 of an input; taken from its provenance where that is not older than the file."""
    record = provenance_path(path)
    if record.is_file() and record.stat().st_mtime >= path.stat().st_mtime:
        stored = read_json(record)
        if stored.get("size") == path.stat().st_size:
            return stored["sha256"]
    return sha256_file(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _scratch_folder(outputs: Mapping[str, Path], stage: Stage, identity: str) -> Path:
    """A folder that survives a kill, named by parameters and inputs, so that no run of others is ever resumed."""
    return next(iter(outputs.values())).parent / f".scratch-{stage.name}-{identity[:16]}"


def run_stage(
    stage: Stage,
    config: Config,
    inputs: Inputs,
    outputs: Mapping[str, Path],
    options: Mapping[str, str] | None = None,
    needs: Sequence[Path] = (),
    shard: Shard = WHOLE,
) -> None:
    """Runs a stage to the end or leaves nothing under its outputs' final names.

    ``needs`` are files that the stage reads through the configuration (a model's folder) or through a manifest; they
    are recorded as inputs. shard: which part of its items a stage that can be sharded handles.
    Raises ArtifactError for a missing input, and whatever the stage raises.
    """
    options = dict(options or {})
    files = [path for given in inputs.values() for path in ([given] if isinstance(given, Path) else given)]
    files += needs
    for path in files:
        if not path.is_file():
            raise ArtifactError(f"{path}: input of stage {stage.name} not found")
    parameters = stage_parameters(stage, config, options)
    hashes = {str(path): _input_hash(path) for path in files}
    identity = stable_hash({"parameters": parameters, "inputs": sorted(hashes.values()), "options": options})
    keywords: dict[str, Any] = {name: get_section(config, key) for name, key in section_keys(stage, options).items()}
    keywords.update(inputs, **options)
    if stage.shards:
        keywords["shard"] = shard
    if stage.seeded:
        keywords["seed"] = config.seed
    device, nodes, processes = "none", 1, 1
    if stage.compute:
        from v2l.runtime import resolve_runtime, seed_libraries  # torch is slow to import and not every stage needs it

        seed_libraries(config.seed, stage.name)
        keywords["runtime"] = resolve_runtime(config.runtime, config.precision, config.threads)
        device = f"{keywords['runtime'].device} {keywords['runtime'].dtype} ({platform.machine()})"
        nodes, processes = plan_processes(stage, config, keywords["runtime"].device)
        device += f", {nodes} x {processes} processes" if nodes * processes > 1 else ""
    if stage.resumable:
        keywords["scratch"] = _scratch_folder(outputs, stage, identity)
        keywords["scratch"].mkdir(parents=True, exist_ok=True)

    partial = {name: path.with_name(f".partial-{path.name}") for name, path in outputs.items()}
    for path in partial.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(path)
    call = Call(stage, config, {**keywords, **partial})
    started = time.monotonic()
    try:
        if nodes * processes > 1:
            launch(call, nodes, processes, keywords["scratch"])
        else:
            try:
                call.run()
            except EmptyPart:
                for path in partial.values():
                    write_empty(path)
        record = {
            "stage": stage.name,
            "options": options,
            "parameters": parameters,
            "parameters_hash": stable_hash(parameters),
            "seed": config.seed,
            "code_version": code_version(),
            "inputs": hashes,
            "wall_seconds": round(time.monotonic() - started, 3),
            "peak_memory_bytes": _peak_memory_bytes(),
            "device": device,
            "machine": machine(),
            **({"shard": str(shard)} if shard != WHOLE else {}),
        }
        for name, path in outputs.items():
            _publish(partial[name], path, record)
    finally:
        for path in partial.values():
            _remove(path)
    if stage.resumable:
        shutil.rmtree(keywords["scratch"])
    logger.info("%s: done in %.1f s", stage.name, time.monotonic() - started)


def merge_stage(stage: Stage, parts: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Puts the parts of a sharded stage's outputs together, as if it had run whole.

    parts: those of the first output in their order, then those of the next. Raises ArtifactError if they are not
    complete, or not of one run.
    """
    from v2l.merging import merge_parts, merged_record  # a dry run does without pandas

    if len(outputs) != len(stage.shards) or not parts or len(parts) % len(outputs):
        raise ArtifactError(
            f"merge {stage.name}: expected {len(stage.shards)} outputs and as many parts of each, found {len(outputs)} "
            f"and {len(parts)} parts"
        )
    count = len(parts) // len(outputs)
    partial = [output.with_name(f".partial-{output.name}") for output in outputs]
    records = []
    try:
        for place, how in enumerate(stage.shards.values()):
            own = parts[place * count : (place + 1) * count]
            records.append(merged_record(own, stage.name))
            outputs[place].parent.mkdir(parents=True, exist_ok=True)
            merge_parts(own, partial[place], how)
        for complete, output, record in zip(partial, outputs, records, strict=True):
            _publish(complete, output, record)
    finally:
        for path in partial:
            _remove(path)
    logger.info("merge %s: %d parts", stage.name, count)


def _peak_memory_bytes() -> int:
    """Of the largest process that took part."""
    return 1024 * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _publish(partial: Path, final: Path, record: Mapping[str, Any]) -> None:
    """Gives a complete output its final name, its provenance first."""
    if not partial.exists():
        raise RuntimeError(f"stage {record['stage']} did not write {final}")
    for file in [partial, *partial.rglob("*")] if partial.is_dir() else [partial]:
        file.chmod((0o777 if file.is_dir() else 0o666) & ~UMASK)  # safetensors writes files for their owner only
    content = {} if partial.is_dir() else {"sha256": sha256_file(partial), "size": partial.stat().st_size}
    if partial.is_dir():
        _remove(final)  # a folder cannot replace one that is not empty
    else:
        temporary = partial.with_name(f".partial-{provenance_path(final).name}")
        write_json(temporary, {**record, **content})
        temporary.replace(provenance_path(final))
    partial.replace(final)
