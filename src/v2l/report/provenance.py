"""Which jobs made an artifact, and how: the chain of provenance files, back to the assets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from v2l.artifacts import provenance_path, read_json


@dataclass(frozen=True)
class History:
    """records: one a job, nearest to the raw data first; sources: SHA-256 of files that no record tells of."""

    records: list[dict[str, Any]]
    sources: dict[str, str]

    @property
    def parameters(self) -> dict[str, Any]:
        """The sections of the configuration that any of the jobs depends on."""
        return {key: value for record in self.records for key, value in sorted(record["parameters"].items())}


def job_name(record: Mapping[str, Any]) -> str:
    """A stage, and for which item it was run, e.g. ``train vqgan``."""
    return " ".join([record["stage"], *record["options"].values()])


def history(root: Path, artifacts: Iterable[Path]) -> History:
    """Follows the inputs of every artifact through the results folder ``root``.

    A provenance file names inputs as its command was given them; only the last two parts of such a path are looked up
    below ``root``, so a moved or copied folder keeps its history. Files without provenance beside them end a chain.
    """
    records: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}

    def follow(artifact: Path, name: str, digest: str) -> None:
        path = provenance_path(artifact)
        if not path.is_file():
            sources[name] = digest
            return
        record = read_json(path)
        job = job_name(record)
        if job in records:
            return
        # Held as seen before its inputs are followed, and put in place after them.
        records[job] = record
        for given, given_digest in sorted(record["inputs"].items()):
            follow(root.joinpath(*PurePosixPath(given).parts[-2:]), given, given_digest)
        records[job] = records.pop(job)

    for artifact in artifacts:
        if provenance_path(artifact).is_file():
            follow(artifact, artifact.name, "")
    return History(list(records.values()), sources)
