import logging

import pytest

from v2l import progress
from v2l.progress import Progress, track


def test_lines_tell_done_total_and_time_left(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    clock = iter([0.0, 20.0, 21.0, 40.0, 41.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, "v2l"), Progress("work", total=8, unit="items") as bar:
        bar.advance(2, note="loss 1.5")  # 20 s for 2 of 8: 60 s left
        bar.advance(1)  # only one second later: no line
        bar.advance(1)
    assert [record.message for record in caplog.records] == [
        "work: 2/8 items (25%), 1:00 left, loss 1.5",
        "work: 4/8 items (50%), 0:40 left",
        "work: 4 items in 41.0 s",
    ]


def test_resumed_work_does_not_count_as_speed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter([0.0, 20.0, 21.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, "v2l"), Progress("work", total=10, unit="items", done=6) as bar:
        bar.advance(1)
    assert caplog.records[0].message == "work: 7/10 items (70%), 1:00 left"


def test_track_yields_every_item() -> None:
    assert list(track(iter("abc"), "letters", 3, "letters")) == ["a", "b", "c"]
