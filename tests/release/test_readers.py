"""Files as the release's scripts write them are read; files that want more than data are refused."""

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from v2l.errors import ArtifactError
from v2l.release.readers import read_object_array, read_state_dict, read_tensor

CELLS = [{"1": "cat", "2": " fish", "3": "ing"}, {"1": "é", "2": "", "3": "\n"}]


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    "items", [CELLS, ["cat", "catfish"], np.array(["cat", None, 3], dtype=object), [np.str_("cat"), "x"], []]
)
def test_arrays_of_texts_and_dictionaries_are_read(tmp_path: Path, items) -> None:
    path = tmp_path / "vocabulary.npy"
    np.save(path, items)
    assert read_object_array(path) == list(items)


def test_array_that_wants_to_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    path, made = tmp_path / "vocabulary.npy", tmp_path / "made"
    np.save(path, np.array([Touch(made)], dtype=object))
    with pytest.raises(ArtifactError, match=r"vocabulary\.npy: refused \(it asks for \w+\.open; only NumPy arrays"):
        read_object_array(path)
    assert not made.exists()


class Forged:
    """An array of one object whose dtype denies that it holds any: what lies there are bytes, not a reference."""

    def __reduce__(self):
        core = np.empty(0).__reduce__()[0]
        return core, (np.ndarray, (0,), b"b"), (1, (1,), ForgedDtype(), False, b"A" * 8)


class ForgedDtype:
    def __reduce__(self):
        return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)


def test_array_with_bytes_in_place_of_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.npy"
    np.save(path, np.array([None], dtype=object))
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        header = path.read_bytes()[: file.tell()]
    path.write_bytes(header + pickle.dumps(Forged()))
    with pytest.raises(ArtifactError, match=r"vocabulary\.npy: refused \("):
        read_object_array(path)


def test_array_of_another_shape_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.npy"
    np.save(path, np.zeros((2, 2)))
    with pytest.raises(ArtifactError, match=r"expected a one-dimensional array, found \[2, 2\]"):
        read_object_array(path)
    np.save(path, np.array(CELLS, dtype=object))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=r"vocabulary\.npy: refused"):
        read_object_array(path)
    path.write_bytes(b"no array")
    with pytest.raises(ArtifactError, match=r"vocabulary\.npy: refused"):
        read_object_array(path)
    with pytest.raises(ArtifactError, match=r"none\.npy: file not found"):
        read_object_array(tmp_path / "none.npy")


def test_half_precision_embedding_becomes_float32(tmp_path: Path) -> None:
    path, stored = tmp_path / "embedding.pth", torch.randn(4, 3).half()
    torch.save(stored, path)
    found = read_tensor(path)
    assert found.dtype == torch.float32
    assert torch.equal(found, stored.float())


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.zeros(3), r"a tensor of shape \[3\]"),
        ({"a": 1}, "dict"),
        (torch.zeros(2, 2, dtype=torch.int64), "a tensor"),
    ],
)
def test_what_is_no_matrix_of_floats_is_refused(tmp_path: Path, value, found: str) -> None:
    path = tmp_path / "embedding.pth"
    torch.save(value, path)
    with pytest.raises(ArtifactError, match=rf"embedding\.pth: expected a matrix of floats, found {found}"):
        read_tensor(path)


@pytest.mark.parametrize("key", ["model", "state_dict", None])
def test_tensors_of_a_training_checkpoint_are_found(tmp_path: Path, key: str | None) -> None:
    path, tensors = tmp_path / "checkpoint.pth", {"module.encoder.weight": torch.randn(2, 2), "b": torch.ones(1)}
    beside = {
        "epoch": 3,
        "args": argparse.Namespace(lr=4.5e-4, ways=[2, 5]),
        "opt_ae": {"state": {}, "param_groups": []},
    }
    torch.save(tensors if key is None else {key: tensors, **beside}, path)
    found = read_state_dict(path)
    assert sorted(found) == ["b", "encoder.weight"]
    assert torch.equal(found["encoder.weight"], tensors["module.encoder.weight"])


@pytest.mark.parametrize("read", [read_tensor, read_state_dict])
def test_checkpoint_that_wants_to_run_code_is_refused_and_runs_none(tmp_path: Path, read) -> None:
    path, made = tmp_path / "checkpoint.pth", tmp_path / "made"
    torch.save({"model": {"a": torch.ones(1)}, "args": Touch(made)}, path)
    with pytest.raises(ArtifactError, match=r"checkpoint\.pth: refused \(it asks for \w+\.open; only tens") as raised:
        read(path)
    assert "\n" not in str(raised.value)
    assert not made.exists()
    path.write_bytes(pickle.dumps(Touch(made)))
    with pytest.raises(ArtifactError, match=r"checkpoint\.pth: refused \("):
        read(path)
    assert not made.exists()


def test_checkpoint_without_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3}, path)
    with pytest.raises(ArtifactError, match="expected tensors by name under 'model' or 'state_dict', found none"):
        read_state_dict(path)
