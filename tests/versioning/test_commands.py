"""The command `record` on the configuration of DVC's pipeline, and on another."""

from argparse import Namespace
from pathlib import Path

import pytest

from v2l.versioning import commands


@pytest.mark.parametrize(("name", "commits"), [("demo", 1), ("full", 0)])
def test_only_the_run_of_the_pipeline_is_committed_to_dvc(
    name: str, commits: int, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple] = []
    monkeypatch.chdir(repository)
    monkeypatch.setattr("v2l.versioning.record.record", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr("v2l.versioning.dvc.commit", lambda: calls.append(()))
    config = Path("config", f"{name}.yaml")
    commands._record(Namespace(config=config))
    assert calls == [(config, Path("results", name)), *[()] * commits]
