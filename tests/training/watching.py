"""What the system says of processes, read from /proc."""

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(condition: Callable[[], bool]) -> None:
    """Fails after two minutes."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _state_and_group(process: int) -> tuple[str, int]:
    """Z, and no group, for one that has ended."""
    try:
        state, _parent, group, *_ = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "Z", 0
    return state, int(group)


def gone(process: int) -> bool:
    """Whether it has ended, even if who started it has not taken note yet."""
    return _state_and_group(process)[0] == "Z"


def group_of(leader: int) -> list[int]:
    """The processes of a group that have not ended."""
    processes = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    found = {process: _state_and_group(process) for process in processes}
    return [process for process, (state, group) in found.items() if group == leader and state != "Z"]
