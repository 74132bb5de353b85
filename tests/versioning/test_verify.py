import subprocess
from pathlib import Path

import pytest

from v2l.artifacts import read_json, write_json
from v2l.errors import ArtifactError
from v2l.versioning.digests import write_digests
from v2l.versioning.verify import tolerance, verify

RESULTS = Path("results/x")
FILE = RESULTS / "classify" / "metrics.json"


def entry(value: float, low: float | None = None, high: float | None = None) -> dict:
    return {"value": value, "low": low, "high": high, "n": 50}


def write_run(machine: str, **metrics: dict) -> None:
    FILE.parent.mkdir(parents=True, exist_ok=True)
    write_json(FILE, metrics)
    write_json(FILE.with_name("metrics.json.provenance.json"), {"machine": machine})
    write_digests(RESULTS)


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git repository whose HEAD holds a run on machine A."""
    monkeypatch.chdir(tmp_path)
    write_run("A", accuracy=entry(0.7, 0.6, 0.8), distance=entry(10.0))
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "snapshot"]):
        subprocess.run(["git", *words], check=True)


@pytest.mark.usefixtures("snapshot")
def test_same_bytes_pass() -> None:
    text, passed = verify(RESULTS, "HEAD")
    assert passed
    assert text == "results/x: all 1 files have the bytes of the snapshot in HEAD"


@pytest.mark.usefixtures("snapshot")
def test_other_values_on_the_same_machine_fail_and_are_listed() -> None:
    write_run("A", accuracy=entry(0.71, 0.6, 0.8), distance=entry(10.0))
    text, passed = verify(RESULTS, "HEAD")
    assert not passed
    assert "classify: accuracy" in text
    assert "distance" not in text
    assert "same machine type: the bytes should be the same" in text


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize(
    ("accuracy", "distance", "passes"), [(0.85, 10.9, True), (0.95, 10.0, False), (0.7, 11.2, False)]
)
def test_on_another_machine_the_tolerance_decides(accuracy: float, distance: float, passes: bool) -> None:
    write_run("B", accuracy=entry(accuracy), distance=entry(distance))
    text, passed = verify(RESULTS, "HEAD")
    assert passed == passes
    assert ("every metric within its tolerance" in text) == passes


@pytest.mark.usefixtures("snapshot")
def test_missing_metric_fails_on_any_machine() -> None:
    write_run("B", distance=entry(10.0))
    assert not verify(RESULTS, "HEAD")[1]


@pytest.mark.usefixtures("snapshot")
def test_snapshot_that_is_not_there_is_named() -> None:
    with pytest.raises(ArtifactError, match=r"results/y/digests\.json: no snapshot in HEAD"):
        verify(Path("results/y"), "HEAD")


@pytest.mark.usefixtures("snapshot")
def test_run_that_is_not_finished_fails_and_says_what_is_missing() -> None:
    FILE.unlink()
    text, passed = verify(RESULTS, "HEAD")
    assert not passed
    assert "classify/metrics.json: missing" in text


def test_tolerance_is_the_width_of_the_interval_or_a_tenth(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"a": entry(0.7, 0.6, 0.8), "b": entry(-5.0)})
    metrics = read_json(tmp_path / "m.json")
    assert tolerance(metrics["a"]) == pytest.approx(0.2)
    assert tolerance(metrics["b"]) == pytest.approx(0.5)
