"""One of several processes that run the function of a stage together; `v2l.launch` starts it through torchrun.

Workers that such a process spawns import this module too, as Python's main one, so torch, slow and large, is imported
where it is needed.
"""

import logging
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2l.artifacts import read_json
from v2l.config.tree import Config, parse_config
from v2l.errors import V2LError
from v2l.launch import CALL, ERRORS, Call

if TYPE_CHECKING:
    from v2l.runtime import Runtime


def _end_with_launcher() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _own_runtime(config: Config, local_rank: int) -> "Runtime":
    """A GPU for each process of a node, the first thing that it touches; all share the node's processor."""
    import torch

    from v2l.runtime import resolve_runtime

    if config.runtime.device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    runtime = resolve_runtime(config.runtime, config.precision, config.threads)
    return replace(runtime, device=torch.device("cuda", local_rank)) if runtime.device.type == "cuda" else runtime


def work(record: dict[str, Any], local_rank: int) -> None:
    """Makes the call of this record with the process group in place. Raises what it raises."""
    import torch.distributed as dist

    from v2l.runtime import seed_libraries

    config = parse_config(record["config"], CALL)
    runtime = _own_runtime(config, local_rank)
    call = Call.from_record(record, runtime)
    seed_libraries(config.seed, call.stage.name)
    dist.init_process_group("nccl" if runtime.device.type == "cuda" else "gloo")
    call.run()
    dist.barrier()  # whoever ends first has the others ended
    dist.destroy_process_group()


def main(scratch: Path) -> int:
    """Returns 0, or 1 after leaving its message to the launcher."""
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    rank = int(os.environ["RANK"])
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("v2l").setLevel(logging.INFO if rank == 0 else logging.WARNING)
    try:
        work(read_json(scratch / CALL), int(os.environ["LOCAL_RANK"]))
    except V2LError as error:
        (scratch / ERRORS / f"{rank:06d}").write_text(str(error), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
