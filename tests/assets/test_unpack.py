import shutil
from pathlib import Path

import pytest

from v2l.artifacts import read_json, sha256_file
from v2l.assets import unpack as unpack_module
from v2l.assets.download import download_package
from v2l.assets.pins import Asset, Pin, load_asset, load_assets
from v2l.assets.unpack import unpack
from v2l.errors import AssetError


@pytest.fixture
def words(npm_pin: Pin, pip_pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The asset ``words`` of two small packages; returns the folder of their archives."""
    asset = Asset(packages=[npm_pin, pip_pin], installs=["npm.txt", "pip.txt"])
    monkeypatch.setattr(unpack_module, "load_asset", lambda _: asset)
    archives = tmp_path / "archives"
    archives.mkdir()
    for pin in asset.packages:
        shutil.move(download_package(pin, tmp_path / pin.registry), archives / pin.archive)
    return archives


def test_asset_has_the_files_of_its_packages_and_a_manifest(words: Path, tmp_path: Path):
    folder = tmp_path / "asset"
    unpack("words", str(words), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "npm.txt", "pip.txt"]
    assert (folder / "npm.txt").read_text() == "ant bee"
    manifest = read_json(folder / "manifest.json")
    assert manifest["asset"] == "words"
    assert [package["name"] for package in manifest["packages"]] == ["@tiny/pack", "tiny-pack"]
    assert set(manifest["packages"][0]) == {"registry", "name", "version", "sha256", "license"}
    assert manifest["files"]["pip.txt"] == {"sha256": sha256_file(folder / "pip.txt"), "size": 7}


def test_unpacking_twice_writes_the_same_bytes(words: Path, tmp_path: Path):
    for name in ("one", "two"):
        unpack("words", str(words), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_altered_or_missing_archive_is_refused_by_name(words: Path, npm_pin: Pin, tmp_path: Path):
    archive = words / npm_pin.archive
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(AssetError, match=rf"@tiny/pack 1\.0\.0: expected an archive with SHA-256 {npm_pin.sha256}"):
        unpack("words", str(words), tmp_path / "asset")
    archive.unlink()
    with pytest.raises(AssetError, match=r"archives/tiny-pack-1\.0\.0\.tgz: archive not found; download it first"):
        unpack("words", str(words), tmp_path / "other")


def test_other_files_than_announced_are_refused(words: Path, npm_pin: Pin, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(unpack_module, "load_asset", lambda _: Asset(packages=[npm_pin], installs=["weights.json"]))
    with pytest.raises(AssetError, match=r"words: expected the files weights\.json, found npm\.txt"):
        unpack("words", str(words), tmp_path / "asset")


def test_unknown_asset_writes_nothing(tmp_path: Path):
    with pytest.raises(AssetError, match="unknown asset 'clip'"):
        unpack("clip", str(tmp_path), tmp_path / "clip")
    assert not (tmp_path / "clip").exists()


@pytest.mark.parametrize("asset", sorted(load_assets()))
def test_unpacked_folder_is_what_its_manifest_says(assets: Path, asset: str):
    folder = assets / asset
    manifest = read_json(folder / "manifest.json")
    assert {package["sha256"] for package in manifest["packages"]} == {pin.sha256 for pin in load_asset(asset).packages}
    sizes = {name: entry["size"] for name, entry in manifest["files"].items()}
    found = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert sizes == {name: size for name, size in found.items() if name != "manifest.json"}
    smallest = min(sizes, key=sizes.get)
    assert sha256_file(folder / smallest) == manifest["files"][smallest]["sha256"]
