"""Work done ahead of need by worker processes, in order."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from v2l.data.workers import end_with_parent
from v2l.errors import V2LError

Argument = TypeVar("Argument")
Result = TypeVar("Result")

AHEAD = 2  # results of each worker that are under way or waiting


def work_ahead(function: Callable[[Argument], Result], arguments: Iterable[Argument], workers: int) -> Iterator[Result]:
    """What ``function`` makes of each argument, in order; ``workers`` processes are some arguments ahead.

    Closing the iterator ends them. SIGTERM and SIGINT, which a cluster or a terminal sends to all processes, are left
    to this one. Raises what the function raises, in its argument's turn, and V2LError if a worker is killed.
    """
    arguments, waiting = iter(arguments), deque()
    # Spawned, not forked: a fork copies locks that other threads of this process hold.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker)

    def submit(count: int) -> None:
        with _signals_held():  # a worker, started by what it is given first, inherits this
            waiting.extend(pool.submit(function, argument) for argument in islice(arguments, count))

    try:
        submit(AHEAD * workers)
        while waiting:
            result = waiting.popleft().result()
            submit(1)
            yield result
    except BrokenProcessPool:
        raise V2LError(
            "runtime.loader_workers: a worker was killed, or could not start; where memory ended, ask for fewer"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _signals_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    end_with_parent()
    Thread(target=_end_as_told, daemon=True).start()


def _end_as_told() -> None:
    """Ends this process at a SIGTERM of its parent's, which a pool that lost a worker sends to the others."""
    parent = parent_process().pid
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(1)
