"""One of several processes that run the function of a stage together; `v2l.launch` starts it through torchrun."""

import logging
import os
import pickle
import sys
import threading
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from v2l.errors import V2LError
from v2l.launch import CALL, ERRORS, Call
from v2l.runtime import Runtime, seed_libraries


def _end_with_launcher() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _own_device(runtime: Runtime, local_rank: int) -> Runtime:
    """A GPU for each process of a node; all share its processor."""
    if runtime.device.type != "cuda":
        return runtime
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return replace(runtime, device=device)


def work(call: Call, local_rank: int) -> None:
    """Calls the function with the process group in place. Raises what it raises."""
    runtime = _own_device(call.keywords["runtime"], local_rank)
    torch.set_num_threads(call.config.threads)
    seed_libraries(call.config.seed, call.stage.name)
    dist.init_process_group("nccl" if runtime.device.type == "cuda" else "gloo")
    replace(call, keywords=call.keywords | {"runtime": runtime}).run()
    dist.barrier()  # whoever ends first has the others ended
    dist.destroy_process_group()


def main(scratch: Path) -> int:
    """Returns 0, or 1 after leaving its message to the launcher."""
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    rank = int(os.environ["RANK"])
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("v2l").setLevel(logging.INFO if rank == 0 else logging.WARNING)
    try:
        work(pickle.loads((scratch / CALL).read_bytes()), int(os.environ["LOCAL_RANK"]))
    except V2LError as error:
        (scratch / ERRORS / f"{rank:06d}").write_text(str(error), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
