"""Progress of a long loop: done, total, rate and time left, on standard error.

A terminal gets a live bar; a log file or a pipe gets a line now and then.
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 15.0

logger = logging.getLogger(__name__)


class Progress:
    """Counts work done. ``advance(n)`` after each piece; use as a context manager."""

    def __init__(self, title: str, total: int, unit: str, done: int = 0) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._start_done = self._done = done
        self._started = self._last_line = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=done, desc=title, unit=f" {unit}", leave=False, dynamic_ncols=True)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if exc[0] is None:
            elapsed = time.monotonic() - self._started
            logger.info("%s: %d %s in %.1f s", self._title, self._done, self._unit, elapsed)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Records ``count`` more items; ``note`` is shown beside the numbers (a loss, say)."""
        self._done += count
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
            return
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self._started) / max(self._done - self._start_done, 1) * (self._total - self._done)
            logger.info(
                "%s: %d/%d %s (%d%%), %d:%02d left%s", self._title, self._done, self._total, self._unit,
                100 * self._done // max(self._total, 1), left // 60, left % 60, f", {note}" if note else "",
            )  # fmt: skip


def track(items: Iterable[Item], title: str, total: int, unit: str) -> Iterator[Item]:
    """Yields the items and counts each when the loop asks for the next."""
    with Progress(title, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()
