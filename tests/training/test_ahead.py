import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from v2l.errors import DataError, V2LError
from v2l.training.ahead import AHEAD, work_ahead

from .watching import gone, wait_until

# Draws from two workers until it is killed.
ENDLESS = """
import itertools, os, time
from v2l.training.ahead import work_ahead
from tests.training.test_ahead import with_process
if __name__ == "__main__":
    for _, process in work_ahead(with_process, itertools.count(), 2):
        print(process, flush=True)
        time.sleep(0.01)
"""


def with_process(number: int) -> tuple[int, int]:
    return number, os.getpid()


def slowly(number: int) -> tuple[int, int]:
    time.sleep(0.2)
    return number, os.getpid()


def refuse_three(number: int) -> int:
    if number == 3:
        raise DataError("three: refused")
    return number


def killed_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_order_from_several_processes_that_end_with_the_iterator() -> None:
    results = work_ahead(slowly, count(), 2)
    found = [next(results) for _ in range(8)]
    results.close()
    assert [number for number, _ in found] == list(range(8))
    processes = {process for _, process in found}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert all(gone(process) for process in processes)


def test_no_more_is_asked_for_than_is_some_way_ahead() -> None:
    asked = []

    def arguments():
        for number in count():
            asked.append(number)
            yield number

    results = work_ahead(with_process, arguments(), 1)
    for number in range(5):
        next(results)
        assert len(asked) <= number + 1 + AHEAD
    results.close()


def test_what_a_worker_raises_is_raised_in_its_turn() -> None:
    results = work_ahead(refuse_three, range(10), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match=r"^three: refused$"):
        next(results)


def test_lost_worker_ends_all_in_one_line() -> None:
    with pytest.raises(V2LError, match=r"^runtime\.loader_workers: a worker was killed"):
        list(work_ahead(killed_at_three, range(10), 2))


def test_workers_leave_signals_to_the_process_that_started_them() -> None:
    results = work_ahead(with_process, count(), 1)
    _, worker = next(results)
    for name in ("-TERM", "-INT"):
        subprocess.run(["kill", name, str(worker)], check=True)
    assert [next(results) for _ in range(20)] == [(number, worker) for number in range(1, 21)]
    results.close()


def test_workers_of_a_killed_process_end(repository: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository)}
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, env=environment) as process:
        workers = set()
        while len(workers) < 2:
            workers.add(int(process.stdout.readline()))
        process.kill()
    wait_until(lambda: all(gone(worker) for worker in workers))
