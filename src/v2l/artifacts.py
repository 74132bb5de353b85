"""Reading and writing of artifacts. No pickle.

Formats: Parquet for rows (CSV for the few that plotting tools read), safetensors for arrays, JSON for records.

Writers produce the same bytes for the same content. They write to the path they are given; making a file complete or
absent under its final name is the stage runner's work (`v2l.runner`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from v2l.errors import ArtifactError

PROVENANCE_SUFFIX = ".provenance.json"


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stable_hash(value: Any) -> str:
    """Hex SHA-256 of a JSON-like value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def provenance_path(artifact: Path) -> Path:
    """Where the provenance of an artifact lies."""
    return artifact.with_name(artifact.name + PROVENANCE_SUFFIX)


def _require(path: Path) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path}: file not found; run the stage that writes it")


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises ArtifactError if the file is missing or is not JSON."""
    _require(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: not valid JSON ({error})") from error


def write_rows(path: Path, rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> None:
    """Writes a table as Parquet, or as CSV where the name ends so."""
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, lineterminator="\n")
        return
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, compression="zstd")


def read_rows(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Reads the named columns of a Parquet or CSV table.

    Raises ArtifactError if the file is missing, unreadable or lacks a column.
    """
    _require(path)
    columns = list(columns)
    kind = "CSV" if path.suffix == ".csv" else "Parquet"
    try:
        present = list(pd.read_csv(path, nrows=0).columns) if kind == "CSV" else pq.read_schema(path).names
        if absent := [name for name in columns if name not in present]:
            raise ArtifactError(f"{path}: expected column(s) {', '.join(absent)}, found {', '.join(present)}")
        return pd.read_csv(path, usecols=columns) if kind == "CSV" else pq.read_table(path, columns=columns).to_pandas()
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable {kind} file ({error})") from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Writes named arrays as safetensors."""
    # safetensors hands views on as they lie in memory; only a C-ordered copy keeps the right values.
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, metadata=dict(metadata or {})
    )


def write_empty(path: Path) -> None:
    """Writes a table without rows and columns, or a safetensors file without arrays."""
    if path.suffix == ".safetensors":
        save_file({}, path)  # with empty metadata, as `write_arrays` has them, safetensors writes what it cannot read
    else:
        write_rows(path, [])


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Reads a safetensors file and requires the named arrays; others in the file are returned too.

    Raises ArtifactError if the file is missing, truncated or lacks a name.
    """
    _require(path)
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a readable safetensors file ({error})") from error
    if absent := [name for name in names if name not in arrays]:
        raise ArtifactError(f"{path}: expected array(s) {', '.join(absent)}, found {', '.join(sorted(arrays))}")
    return arrays
