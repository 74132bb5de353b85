"""Puts a finished run on record, so that a clone can go on from it: digests and Snakemake's records."""

from pathlib import Path

from v2l.versioning.dag import graph_jobs
from v2l.versioning.digests import write_digests
from v2l.versioning.records import write_records


def record(config: Path, results: Path) -> None:
    """Writes ``digests.json`` and ``snakemake.json`` beside the results.

    Raises ArtifactError if an output is missing or was not made by a Snakemake run in this folder.
    """
    write_records(results, {output: job.temporary for job in graph_jobs(config) for output in job.outputs})
    write_digests(results)
