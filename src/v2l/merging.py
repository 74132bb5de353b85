"""Putting the parts of a sharded stage's outputs together."""

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from v2l.artifacts import provenance_path, read_arrays, read_json, write_arrays, write_rows
from v2l.errors import ArtifactError
from v2l.shards import BETWEEN, JOINED, Shard

SAME = ("stage", "options", "parameters_hash", "seed", "inputs")
LISTED = ("code_version", "device", "machine")


def merge_parts(parts: Sequence[Path], output: Path, how: str) -> None:
    """Writes one artifact from its parts, in their order. Raises ArtifactError if one cannot be read."""
    if output.suffix == ".parquet":
        frames = [_read_table(part) for part in parts]
        filled = [frame for frame in frames if len(frame)] or [max(frames, key=lambda frame: len(frame.columns))]
        write_rows(output, pd.concat(filled, ignore_index=True))
        return
    arrays = [found for part in parts if (found := read_arrays(part, []))]
    combine = np.concatenate if how == JOINED else lambda several: reduce(np.add, several)
    write_arrays(output, {name: combine([each[name] for each in arrays]) for name in arrays[0]})


def _read_table(part: Path) -> pd.DataFrame:
    try:
        return pq.read_table(part).to_pandas()
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{part}: not a readable Parquet file ({error})") from error


def merged_record(parts: Sequence[Path], stage: str) -> dict[str, Any]:
    """The provenance of what is put together: that of the parts, with their times added up and all their machines.

    Raises ArtifactError unless the parts are all there are, each once, of one run of this stage.
    """
    records = [_record(part) for part in parts]
    numbers = [Shard.parse(record.get("shard", "1-of-1")) for record in records]
    if numbers != [Shard(number, len(parts)) for number in range(1, len(parts) + 1)]:
        raise ArtifactError(
            f"{parts[0].parent}: expected parts 1 to {len(parts)}, found {', '.join(map(str, numbers))}"
        )
    for part, record in zip(parts, records, strict=True):
        for key in SAME:
            if record[key] != records[0][key]:
                raise ArtifactError(f"{part}: {key} {record[key]!r} differs from {records[0][key]!r} of {parts[0]}")
    if records[0]["stage"] != stage:
        raise ArtifactError(f"{parts[0]}: expected a part of stage {stage}, found one of {records[0]['stage']}")
    return {
        **{key: value for key, value in records[0].items() if key not in ("shard", "sha256", "size")},
        **{key: BETWEEN.join(sorted({record[key] for record in records})) for key in LISTED},
        "wall_seconds": round(sum(record["wall_seconds"] for record in records), 3),
        "peak_memory_bytes": max(record["peak_memory_bytes"] for record in records),
        "num_shards": len(parts),
    }


def _record(part: Path) -> Mapping[str, Any]:
    record = provenance_path(part)
    if not record.is_file():
        raise ArtifactError(f"{part}: expected its provenance beside it, {record.name}, found none")
    return read_json(record)
