from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from v2l.errors import ArtifactError
from v2l.models.weights import load_strictly, read_tensors

ORIGIN = Path("somewhere.safetensors")


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    weight = torch.randn(3, 2)
    save_file({"weight": weight}, tmp_path / "w.safetensors", metadata={"config": "{}"})
    tensors, metadata = read_tensors(tmp_path / "w.safetensors")
    assert torch.equal(tensors["weight"], weight)
    assert metadata == {"config": "{}"}


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"absent\.safetensors: file not found"):
        read_tensors(tmp_path / "absent.safetensors")


def test_truncated_file_is_named(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1000)}, tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(content[:-100])
    with pytest.raises(ArtifactError, match=r"w\.safetensors: not a readable safetensors file"):
        read_tensors(tmp_path / "w.safetensors")


def test_meta_module_is_filled() -> None:
    with torch.device("meta"):
        module = nn.Linear(2, 3)
    tensors = {"weight": torch.randn(3, 2), "bias": torch.randn(3)}
    load_strictly(module, tensors, ORIGIN)
    assert torch.equal(module(torch.ones(1, 2)), tensors["weight"].sum(dim=1)[None] + tensors["bias"])


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.zeros(3, 2)}, "missing bias"),
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(3), "extra": torch.zeros(1)}, "unexpected extra"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(3)}, r"weight: expected shape \[3, 2\], found \[2, 3\]"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(tensors: dict, message: str) -> None:
    module = nn.Linear(2, 3)
    before = module.weight.clone()
    with pytest.raises(
        ArtifactError, match=rf"somewhere\.safetensors: weights do not fit Linear: .*{message}"
    ) as error:
        load_strictly(module, tensors, ORIGIN)
    assert "\n" not in str(error.value)
    assert torch.equal(module.weight, before)


def test_long_lists_of_names_are_cut() -> None:
    with pytest.raises(ArtifactError, match=r"missing 0\.bias, 0\.weight, 1\.bias and 7 more"):
        load_strictly(nn.Sequential(*(nn.Linear(1, 1) for _ in range(5))), {}, ORIGIN)
