from pathlib import Path

import pytest

from v2l.artifacts import read_json, sha256_file
from v2l.assets import fetch as fetch_module
from v2l.assets.fetch import fetch
from v2l.assets.pins import Pin, load_pins
from v2l.errors import AssetError


@pytest.fixture
def npm_asset(npm_pin: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every asset is one small package."""
    monkeypatch.setattr(fetch_module, "load_pins", lambda _: [npm_pin])


def test_asset_has_the_files_of_its_packages_and_a_manifest(
    npm_pin: Pin, pip_pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fetch_module, "load_pins", lambda _: [npm_pin, pip_pin])
    folder = tmp_path / "asset"
    fetch("words", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "npm.txt", "pip.txt"]
    assert (folder / "npm.txt").read_text() == "ant bee"
    manifest = read_json(folder / "manifest.json")
    assert manifest["asset"] == "words"
    assert [package["name"] for package in manifest["packages"]] == ["@tiny/pack", "tiny-pack"]
    assert set(manifest["packages"][0]) == {"registry", "name", "version", "sha256", "license"}
    assert manifest["files"]["pip.txt"] == {"sha256": sha256_file(folder / "pip.txt"), "size": 7}


@pytest.mark.usefixtures("npm_asset")
def test_two_fetches_write_the_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        fetch("words", tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.usefixtures("npm_asset")
def test_archives_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    fetch("words", tmp_path / "asset")
    assert not list((tmp_path / "temporary").iterdir())


def test_unknown_asset_writes_nothing(tmp_path: Path):
    with pytest.raises(AssetError, match="unknown asset 'clip'"):
        fetch("clip", tmp_path / "clip")
    assert not (tmp_path / "clip").exists()


@pytest.mark.parametrize("asset", ["icons", "llm", "networks", "text_encoder"])
def test_fetched_folder_is_what_its_manifest_says(assets: Path, asset: str):
    folder = assets / asset
    manifest = read_json(folder / "manifest.json")
    assert {package["sha256"] for package in manifest["packages"]} == {pin.sha256 for pin in load_pins(asset)}
    sizes = {name: entry["size"] for name, entry in manifest["files"].items()}
    found = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert sizes == {name: size for name, size in found.items() if name != "manifest.json"}
    smallest = min(sizes, key=sizes.get)
    assert sha256_file(folder / smallest) == manifest["files"][smallest]["sha256"]
