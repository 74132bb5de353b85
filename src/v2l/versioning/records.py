"""Snakemake's records of a run, kept with its results, so that a clone knows what has been made of what.

Snakemake remembers in ``.snakemake``, which no clone has, what each output was made of: parameters, rule, inputs and
their checksums. ``results/<name>/snakemake.json`` keeps these records. Where a clone finds outputs that it has not made
itself, `adopt` decides about each: one whose bytes are those on record, and whose inputs are there and adopted too,
gets its record back; any other counts as older than everything, so that it is made anew. The latter is the state of a
clone without `dvc pull`, which holds tables and figures but not what they were made of. Of temporary outputs, the
parts of a sharded stage, there are only records: they are given back where those of their inputs are.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence

from v2l.artifacts import read_json, write_json
from v2l.errors import ArtifactError
from v2l.versioning.digests import RECORDS, digest

# What Snakemake compares; times, job numbers and the like would differ between equal runs.
FIELDS = ("rule", "input", "log", "shellcmd", "params", "code", "record_format_version", "software_stack_hash")
LONG_AGO = 946_684_800  # 2000-01-01, in seconds


class _Store(FilePersistence):
    """Snakemake's record files, by the name of the output."""

    def __init__(self) -> None:
        super().__init__(nolock=True)

    def read(self, output: str) -> MetadataRecord | None:
        return self._read_record(output)

    def write(self, output: str, record: MetadataRecord) -> None:
        self._write_record(output, record)


def write_records(results: Path, outputs: Mapping[str, bool]) -> None:
    """Writes the records of outputs, given in an order in which they can be made, and whether each is temporary.

    Raises ArtifactError if one does not exist or was not made by a Snakemake run in this folder.
    """
    store, entries = _Store(), []
    for output, temporary in outputs.items():
        record = store.read(output)
        if record is None or not (temporary or Path(output).exists()):
            raise ArtifactError(f"{output}: no finished Snakemake run here has made it; run snakemake first")
        kept = {name: record[name] for name in FIELDS}
        # Those of temporary files, which tell of times too, are never compared.
        checksums = {
            name: value for name, value in sorted((record.input_checksums or {}).items()) if not outputs.get(name)
        }
        sha256 = None if temporary else digest(Path(output))
        entries.append({"output": output, "sha256": sha256, "record": {**kept, "input_checksums": checksums}})
    write_json(results / RECORDS, entries)


def adopt(results: Path) -> None:
    """Gives outputs that were not made here their records back, or makes them older than everything (see above)."""
    if not (results / RECORDS).is_file():
        return
    entries = read_json(results / RECORDS)
    store = _Store()
    known = {entry["output"]: store.read(entry["output"]) is not None for entry in entries}
    temporary = {entry["output"] for entry in entries if entry["sha256"] is None}

    def adopted(name: str) -> bool:
        return known.get(name, True) and (name in temporary or Path(name).exists())

    for age, entry in enumerate(entries):
        output, path = entry["output"], Path(entry["output"])
        if known[output] or not (output in temporary or path.exists()):
            continue
        as_on_record = output in temporary or digest(path) == entry["sha256"]
        if as_on_record and all(map(adopted, entry["record"]["input"])):
            store.write(output, MetadataRecord(**entry["record"], incomplete=False))
            known[output] = True
        if output in temporary:
            continue
        # The later made, the older: then Snakemake compares checksums of inputs, not times, which a clone has not kept.
        _date_back(path, LONG_AGO - age)


def _date_back(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))
    if path.is_dir():  # Snakemake looks at this file for a folder's time
        stamp = path / ".snakemake_timestamp"
        stamp.touch()
        os.utime(stamp, (seconds, seconds))
