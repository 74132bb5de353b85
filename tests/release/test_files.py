"""The released files are found under the names of the authors' scripts; the command makes a run of them."""

import shutil
from pathlib import Path

import pytest
import yaml

from v2l.artifacts import provenance_path, read_json, sha256_file
from v2l.cli import main
from v2l.errors import ArtifactError
from v2l.graph.files import CODEBOOK_ROWS
from v2l.graph.release import RELEASE
from v2l.release.files import find_files
from v2l.tokenizer.kinds import load_tokenizer

from .replica import CONFIG, SMALL


@pytest.mark.parametrize("with_candidates", [True, False])
@pytest.mark.parametrize("swapped_names", [True, False])
def test_files_are_found_under_either_name(tmp_path: Path, with_candidates: bool, swapped_names: bool) -> None:
    files = SMALL.write(tmp_path, with_candidates, swapped_names)
    assert find_files(tmp_path) == files
    assert files.keys() <= RELEASE.inputs.keys()


def test_missing_and_doubled_files_are_named(tmp_path: Path) -> None:
    files = SMALL.write(tmp_path)
    second = files["checkpoint"].with_name("second.pth")
    shutil.copy(files["checkpoint"], second)
    with pytest.raises(ArtifactError, match=r"one checkpoint \(\.pth\), found checkpoints/second\.pth, chec"):
        find_files(tmp_path)
    assert find_files(tmp_path, checkpoint=second)["checkpoint"] == second
    shutil.copy(files["local_vocabulary"], tmp_path)
    with pytest.raises(ArtifactError, match=r"expected one local_vocabulary\.npy, found .* and .*"):
        find_files(tmp_path)
    (tmp_path / "local_vocabulary.npy").unlink()
    files["global_vocabulary"].unlink()
    with pytest.raises(ArtifactError, match=r"expected global_vocabulary\.npy or global_embedding\.npy, found neither"):
        find_files(tmp_path)
    with pytest.raises(ArtifactError, match="none: folder not found"):
        find_files(tmp_path / "none")


def test_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    SMALL.write(tmp_path)["checkpoint"].unlink()
    with pytest.raises(ArtifactError, match=r"one checkpoint \(\.pth\), found none; name one with --checkp"):
        find_files(tmp_path)


@pytest.fixture
def config_file(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose tokenizer is the replica's, in an empty working folder."""
    tree = yaml.safe_load((repository / "config" / "smoke.yaml").read_text())
    tree["tokenizers"]["v2l"] = CONFIG.model_dump(mode="json") | {"image_size_px": 32}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(tree | {"name": "released"}))
    monkeypatch.chdir(tmp_path)
    return path


def test_command_writes_the_artifacts_of_a_run_with_their_provenance(tmp_path: Path, config_file: Path) -> None:
    files = SMALL.write(tmp_path / "release")
    assert main(["import-release", "release", "--config", str(config_file)]) == 0
    written = {str(path.relative_to("results/released")) for path in Path("results").rglob("*") if path.is_file()}
    artifacts = {
        "vocab/candidates.parquet",
        "vocab/embeddings.safetensors",
        "vocab/codebook_orders_1_3.parquet",
        "vocab/codebook_orders_1_3.safetensors",
        "tokenizer/v2l.safetensors",
    }
    assert written == artifacts | {f"{name}.provenance.json" for name in artifacts} | {"config.yaml"}
    record = read_json(provenance_path(Path("results/released/tokenizer/v2l.safetensors")))
    assert record["stage"] == "release-artifacts"
    assert sorted(record["inputs"].values()) == sorted(sha256_file(path) for path in files.values())
    assert load_tokenizer(Path("results/released/tokenizer/v2l.safetensors")).config.image_size_px == 32


def test_command_that_fails_prints_one_line_and_leaves_nothing(tmp_path: Path, config_file: Path, caplog) -> None:
    files = SMALL.write(tmp_path / "release")
    files["checkpoint"].write_bytes(b"no checkpoint")
    caplog.clear()
    assert main(["import-release", "release", "--config", str(config_file)]) == 1
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("error: release/checkpoints/v2l-decode.pth: refused (")
    assert not [path for path in Path("results").rglob("*") if path.is_file()]


def test_outputs_are_those_of_the_stages_that_they_stand_in_for() -> None:
    assert RELEASE.outputs["rows"] == CODEBOOK_ROWS
