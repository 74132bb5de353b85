"""SIGTERM, which a cluster sends some time before it kills: the step under way is finished, a checkpoint saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from v2l.errors import V2LError


class StoppedError(V2LError):
    """A run was asked to end and can go on from its checkpoint."""

    def __init__(self, title: str, step: int) -> None:
        super().__init__(f"{title}: stopped by SIGTERM at step {step}; run again to go on")


class StopRequest:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        self.made = False

    def make(self, _signal: int, _frame: FrameType | None) -> None:
        self.made = True


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Takes SIGTERM as a request while the context lasts. Python gives signals to the main thread alone."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = signal.signal(signal.SIGTERM, request.make)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
