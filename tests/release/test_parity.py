"""The comparison passes for the release's outputs and fails for others.

The reference outputs of the authors' code lie beside the repository where they are at hand; a small checkpoint with
the same key names, evaluated by the slow reference, is always there.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from v2l.cli import main
from v2l.errors import ArtifactError
from v2l.release.parity import check_parity

PARITY = Path(__file__).resolve().parents[3] / "shared" / "parity"
STORED = sorted(
    path.with_suffix("") for path in PARITY.glob("*.json") if path.with_suffix(".checkpoint.safetensors").is_file()
)


def files_of(stem: Path) -> list[Path]:
    return [stem.with_suffix(suffix) for suffix in (".checkpoint.safetensors", ".expected.safetensors", ".json")]


def edit(path: Path, **changes) -> None:
    """Replaces tensors of a file: each by a function of the old one, or by None to leave it out."""
    tensors = load_file(path)
    for name, change in changes.items():
        old = tensors.pop(name.replace("__", "."))
        if change is not None:
            tensors[name.replace("__", ".")] = change(old).contiguous()
    save_file(tensors, path)


def moved(index: tuple[int, ...], by: float):
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        tensor[index] += by
        return tensor

    return change


@pytest.mark.parametrize("stored", [None, *STORED], ids=lambda path: path.name if path else "own")
def test_outputs_of_the_release_pass(own_release: Path, stored: Path | None, capsys) -> None:
    files = files_of(stored or own_release)
    comparisons = {comparison.output: comparison for comparison in check_parity(*files)}
    assert list(comparisons) == ["encoder_feature", "global_ids", "local_ids", "quantizer_loss", "reconstruction"]
    assert all(comparison.passed for comparison in comparisons.values())
    # float32 against the authors' float32, or against float64
    assert comparisons["encoder_feature"].difference < 1e-5
    assert comparisons["quantizer_loss"].difference < 1e-6
    assert main(["check-parity", *map(str, files)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 5
    assert printed[2].startswith("local_ids        largest difference 0.00e+00, 0 differing ids")


@pytest.mark.parametrize(
    "changes",
    [
        {"ch_mult": (1, 1, 2, 2, 2), "attention": (4,), "image_size": 32},
        {"ch_mult": (1, 2), "num_res_blocks": 2, "attn_resolutions": (256, 128), "attention": (0, 1), "image_size": 8},
        {"ch": 64, "ch_mult": (1,), "image_size": 6, "num_res_blocks": 3},
        {"cross_attention": False, "image_size": 24},
        {"project": False, "code_dim": 20},
        {"top_k": 21, "heads": 3, "local_vocab": 7, "global_vocab": 21, "global_dim": 12},
        {"code_dim": 40, "unit_features": False},
    ],
    ids=["5 levels", "attention everywhere", "1 level", "no cross-attention", "no projector", "Kg", "no unit length"],
)
def test_model_of_any_size_equals_the_slow_reference(write_release, changes: dict) -> None:
    comparisons = {comparison.output: comparison for comparison in check_parity(*files_of(write_release(**changes)))}
    assert all(comparison.passed for comparison in comparisons.values())
    assert comparisons["local_ids"].differing == comparisons["global_ids"].differing == 0
    # float32 against float64
    assert comparisons["encoder_feature"].difference < 1e-4
    assert comparisons["reconstruction"].difference < 1e-6


def test_attention_is_a_part_of_the_network(write_release) -> None:
    files = files_of(write_release(ch_mult=(1, 1, 2, 2, 2), attention=(4,), image_size=32))
    edit(files[0], decoder__up__4__attn__1__proj_out__bias=lambda bias: bias + 0.1)
    failed = [comparison.output for comparison in check_parity(*files) if not comparison.passed]
    assert failed == ["reconstruction"]


@pytest.mark.parametrize("name", ["local_ids", "global_ids"])
def test_another_id_fails(own_release: Path, name: str, capsys) -> None:
    files = files_of(own_release)
    edit(files[1], **{name: lambda ids: (ids + (torch.arange(ids.shape[1]) == 1)) % 30})
    with pytest.raises(SystemExit) as leaving:
        main(["check-parity", *map(str, files)])
    assert leaving.value.code == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.endswith(": FAILED")]
    assert any(line.startswith(name) and "2 differing ids, 0 of them ties" in line for line in failed)


def test_ids_at_equal_distance_are_ties(own_release: Path) -> None:
    """Rows that occur twice: the search takes the first, another implementation may take the second."""
    files = files_of(own_release)
    expected = load_file(files[1])
    first = int(expected["global_ids"][0, 0])
    edit(files[0], tok_embeddings_global__weight=lambda rows: torch.cat([rows, rows[first : first + 1]]))
    # the reference's second best of the first picture is pushed out by the copy of the best
    shifted = expected["global_ids"].clone()
    for row in shifted:
        if first in row.tolist():
            place = row.tolist().index(first)
            row[place + 1 :] = row[place:-1].clone()
            row[place] = 30
    edit(files[1], global_ids=lambda _: shifted)
    found = {comparison.output: comparison for comparison in check_parity(*files)}["global_ids"]
    assert found.differing == found.ties >= 2
    assert found.passed


def test_a_picture_beyond_the_tolerance_fails_and_one_within_passes(own_release: Path) -> None:
    files = files_of(own_release)
    edit(files[1], reconstruction=moved((0, 1, 2, 3), 1e-4))  # half as much in [0, 1]
    assert all(comparison.passed for comparison in check_parity(*files))
    edit(files[1], reconstruction=moved((0, 1, 2, 3), 3e-4))
    failed = [comparison for comparison in check_parity(*files) if not comparison.passed]
    assert [comparison.output for comparison in failed] == ["reconstruction"]
    assert failed[0].difference == pytest.approx(2e-4, rel=0.1)


def test_outputs_that_decide_nothing_may_be_absent(own_release: Path) -> None:
    files = files_of(own_release)
    edit(files[1], encoder_feature=None, quantizer_loss=None)
    assert [comparison.output for comparison in check_parity(*files)] == ["global_ids", "local_ids", "reconstruction"]


def test_more_global_ids_than_the_codebook_has_rows_are_refused(write_release) -> None:
    files = files_of(write_release(cross_attention=False))
    edit(files[1], global_ids=lambda ids: ids[:, :1].repeat(1, 31))
    with pytest.raises(ArtifactError, match=r"own\.expected\.safetensors: global_ids: expected at most 30 a picture"):
        check_parity(*files)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, r"expected tensor\(s\) image, found clip_feature, "),
        ({"image": lambda x: x[:, :, :8]}, r"image: expected shape \[2, 3, 16, 16\], found \[2, 3, 8, 16\]"),
        ({"global_ids": lambda x: x[:, :3]}, r"global_ids: expected 4 a picture, found 3"),
        ({"local_ids": lambda x: x + 50}, r"local_ids: expected ids in 0\.\.49, found "),
        ({"global_ids": lambda x: x.float()}, r"global_ids: expected whole numbers, found torch\.float32"),
        ({"image": lambda x: x[:0]}, r"image: expected one or more pictures, found shape \[0, 3, 16, 16\]"),
    ],
)
def test_expected_outputs_that_do_not_fit_are_named(own_release: Path, changes: dict, message: str) -> None:
    files = files_of(own_release)
    edit(files[1], **changes)
    with pytest.raises(ArtifactError, match=rf"own\.expected\.safetensors: {message}"):
        check_parity(*files)
