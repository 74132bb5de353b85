"""Runs the function of a stage in several processes, started by torchrun: on this node, or on those of a SLURM job.

The launching process stays the only one that publishes. It holds the standard input of all others open; they end when
it closes, so none outlives a launcher that is killed.
"""

import importlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2l.artifacts import write_json
from v2l.config.tree import Config, get_section, parse_config
from v2l.errors import ConfigError, V2LError
from v2l.graph.spec import Stage

CALL, ERRORS, LAST_WORDS = "call.json", "errors", "stderr.txt"
STAGE_FIELDS = ("name", "target", "params", "seeded")
SLURM_JOB = {"SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CLUSTER_NAME", "SLURM_CONF"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A stage's function with all that it is called with."""

    stage: Stage
    config: Config
    keywords: dict[str, Any]

    def run(self) -> None:
        module, function = self.stage.target.split(":")
        getattr(importlib.import_module(module), function)(**self.keywords)

    def record(self) -> dict[str, Any]:
        """What another process makes the call from, as plain data; the rest is in the configuration."""
        given = {
            name: value for name, value in self.keywords.items() if name not in {*self.stage.params, "seed", "runtime"}
        }
        return {
            "stage": {name: getattr(self.stage, name) for name in STAGE_FIELDS},
            "config": self.config.model_dump(mode="json"),
            "options": {name: value for name, value in given.items() if isinstance(value, str)},
            "files": {name: str(value) for name, value in given.items() if isinstance(value, Path)},
            "lists": {name: list(map(str, value)) for name, value in given.items() if isinstance(value, list | tuple)},
        }

    @classmethod
    def from_record(cls, record: dict[str, Any], runtime: Any) -> "Call":
        """The call whose record this is. runtime: of the process that makes it."""
        stage = Stage(**record["stage"], family="", summary="", inputs={}, outputs={})
        config, options = parse_config(record["config"], CALL), record["options"]
        keywords = {name: get_section(config, key.format(**options)) for name, key in stage.params.items()}
        keywords |= options | {name: Path(path) for name, path in record["files"].items()}
        keywords |= {name: [Path(path) for path in paths] for name, paths in record["lists"].items()}
        seed = {"seed": config.seed} if stage.seeded else {}
        return cls(stage, config, {**keywords, **seed, "runtime": runtime})


def plan_processes(stage: Stage, config: Config, device: Any) -> tuple[int, int]:
    """On how many nodes a stage runs, and in how many processes on each; device: a torch device.

    Raises ConfigError if a batch cannot be shared out evenly, or there are more processes than GPUs.
    """
    if not stage.shared_batch:
        return 1, 1
    import torch  # slow to import, and not every stage needs it

    nodes, batch_size = config.runtime.nodes, get_section(config, stage.shared_batch)
    most = torch.cuda.device_count() if device.type == "cuda" and device.index is None else 1
    count = config.runtime.processes or max(
        (number for number in range(1, most + 1) if batch_size % (number * nodes) == 0), default=1
    )
    if batch_size % (count * nodes):
        raise ConfigError(
            f"{stage.shared_batch}: expected a multiple of {count * nodes} (runtime.processes x runtime.nodes), "
            f"found {batch_size}"
        )
    if device.type == "cuda" and count > most:
        raise ConfigError(f"runtime.processes: expected at most {most}, the GPUs of {device}, found {count}")
    return nodes, count


def launch(call: Call, nodes: int, processes: int, scratch: Path) -> None:
    """Runs the call in ``processes`` processes on each of ``nodes`` nodes and waits for all of them.

    scratch: a folder that all nodes share. Raises V2LError with the message of the first process that failed, or the
    file of their last words; all others are ended by then.
    """
    errors = scratch / ERRORS
    shutil.rmtree(errors, ignore_errors=True)
    errors.mkdir()
    write_json(scratch / CALL, call.record())
    command = _command(nodes, processes, scratch)
    environment = dict(_outside_of_steps()) | {"OMP_NUM_THREADS": str(call.config.threads)}  # or torchrun sets it to 1
    logger.info("%s: %d x %d processes", call.stage.name, nodes, processes)
    with (
        (scratch / LAST_WORDS).open("wb") as last_words,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=last_words, env=environment
        ) as torchrun,
        _passed_on_sigterm(torchrun) as stopped,
    ):  # fmt: skip
        reader = threading.Thread(target=_log_lines, args=(torchrun.stdout,))
        reader.start()
        try:
            status = torchrun.wait()
        finally:
            torchrun.stdin.close()
            reader.join()
    if status == 0:
        return
    messages = [path.read_text(encoding="utf-8") for path in sorted(errors.iterdir())]
    if messages:
        raise V2LError(messages[0])
    if stopped:
        raise V2LError(f"{call.stage.name}: stopped by SIGTERM; run again to go on")
    raise V2LError(f"{call.stage.name}: a process ended before its time; what they last said is in {last_words.name}")


def _command(nodes: int, processes: int, scratch: Path) -> list[str]:
    """torchrun on this node, or through srun on every node of the job, to which this one belongs."""
    place = [f"--rdzv-endpoint={socket.gethostname()}:{_free_port()}"]
    if nodes == 1:
        place = ["--rdzv-endpoint=localhost:0", "--local-addr=localhost"]
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={processes}",
        "--rdzv-backend=c10d", *place, f"--rdzv-id={scratch.name}", "--max-restarts=0",
        "-m", "v2l.worker", str(scratch),
    ]  # fmt: skip
    if nodes == 1:
        return torchrun
    # Beside the step that this process may run in, with all that the job has of each node.
    srun = ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--cpu-bind=none"]
    return [*srun, "--kill-on-bad-exit=1", *torchrun]


def _outside_of_steps() -> Iterator[tuple[str, str]]:
    """The environment without what SLURM says of the step that this process may run in: srun would take it up."""
    for name, value in os.environ.items():
        if not name.startswith(("SLURM_", "SRUN_")) or name in SLURM_JOB:
            yield name, value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


@contextmanager
def _passed_on_sigterm(process: subprocess.Popen) -> Iterator[list[int]]:
    """Passes SIGTERM on while the context lasts; what it gives is empty as long as none has come."""
    seen: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        seen.append(number)
        process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():  # Python gives signals to the main thread alone
        yield seen
        return
    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGTERM, before)


def _log_lines(stream: Any) -> None:
    for line in stream:
        logger.info("%s", line.decode(errors="replace").rstrip())
