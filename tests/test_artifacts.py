import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import (
    read_arrays,
    read_json,
    read_rows,
    sha256_file,
    stable_hash,
    write_arrays,
    write_json,
    write_rows,
)  # fmt: skip
from v2l.errors import ArtifactError


def test_rows_come_back_with_lists_and_types(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image_id": ["a", "b"], "ids": [[1, 2], [3]], "score": np.float32([0.5, 1.5])})
    write_rows(tmp_path / "t.parquet", frame)
    back = read_rows(tmp_path / "t.parquet", ["image_id", "ids"])
    assert list(back.columns) == ["image_id", "ids"]
    assert [list(ids) for ids in back["ids"]] == [[1, 2], [3]]


def test_arrays_keep_values_of_non_contiguous_views(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    write_arrays(tmp_path / "a.safetensors", {"x": array})
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.safetensors", ["x"])["x"], array)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_rows(tmp_path / f"{name}.parquet", [{"k": 1, "v": "x"}, {"k": 2, "v": "y"}])
        write_arrays(tmp_path / f"{name}.safetensors", {"b": np.ones(3), "a": np.zeros(2)}, {"m": "1"})
    write_json(tmp_path / "one.json", {"b": 1, "a": [1.5, None]})
    write_json(tmp_path / "two.json", {"a": [1.5, None], "b": 1})
    for suffix in ("parquet", "safetensors", "json"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_stable_hash_ignores_key_order_but_not_values() -> None:
    assert stable_hash({"a": 1, "b": 2}) == stable_hash({"b": 2, "a": 1}) != stable_hash({"a": 1, "b": 3})


@pytest.mark.parametrize(
    ("reader", "suffix"),
    [
        (lambda path: read_rows(path, ["k"]), "parquet"),
        (lambda path: read_arrays(path, ["k"]), "safetensors"),
        (read_json, "json"),
    ],
)
def test_missing_and_truncated_files_are_named(tmp_path: Path, reader, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    with pytest.raises(ArtifactError, match=rf"t\.{suffix}: file not found"):
        reader(path)
    write_rows(tmp_path / "t.parquet", [{"k": 1}])
    write_arrays(tmp_path / "t.safetensors", {"k": np.ones(100)})
    write_json(tmp_path / "t.json", {"k": 1})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ArtifactError, match=rf"t\.{suffix}: not "):
        reader(path)


def test_missing_column_or_array_is_named_with_what_was_found(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.parquet", [{"k": 1}])
    with pytest.raises(ArtifactError, match=r"expected column\(s\) missing, found k"):
        read_rows(tmp_path / "t.parquet", ["k", "missing"])
    write_arrays(tmp_path / "t.safetensors", {"k": np.ones(1)})
    with pytest.raises(ArtifactError, match=r"expected array\(s\) missing, found k"):
        read_arrays(tmp_path / "t.safetensors", ["k", "missing"])
