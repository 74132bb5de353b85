import logging
from pathlib import Path

import pytest

from v2l.assets import download as download_module
from v2l.assets.download import check_archive, download, download_package
from v2l.assets.pins import Pin
from v2l.errors import AssetError

ANOTHER_HASH = "0" * 64


def test_pip_downloads_the_pinned_archive(pip_pin: Pin, tmp_path: Path):
    archive = download_package(pip_pin, tmp_path / "new")
    assert archive.name == "tiny_pack-1.0-py3-none-any.whl"
    check_archive(archive, pip_pin)


def test_archive_gets_the_name_that_it_is_asked_for(pip_pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download_module, "load_pin", lambda _: pip_pin)
    download(pip_pin.archive, tmp_path / ".partial-tiny.whl")
    check_archive(tmp_path / ".partial-tiny.whl", pip_pin)


def test_npm_downloads_the_pinned_archive(npm_pin: Pin, tmp_path: Path):
    archive = download_package(npm_pin, tmp_path / "new")
    assert archive.suffix == ".tgz"
    check_archive(archive, npm_pin)


@pytest.mark.parametrize("fixture", ["pip_pin", "npm_pin"])
def test_another_archive_is_refused_with_both_hashes(fixture: str, request: pytest.FixtureRequest, tmp_path: Path):
    pin = request.getfixturevalue(fixture)
    message = f"{pin.name} {pin.version}: expected an archive with SHA-256 {ANOTHER_HASH}, found {pin.sha256}"
    with pytest.raises(AssetError, match=message):
        download_package(pin.model_copy(update={"sha256": ANOTHER_HASH}), tmp_path / "new")


@pytest.mark.parametrize(
    ("fixture", "version", "said"),
    [("pip_pin", "2.0", "No matching distribution found"), ("npm_pin", "2.0.0", "No matching version found")],
)
def test_failed_download_names_the_package_and_shows_what_the_client_said(
    fixture: str,
    version: str,
    said: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    pin = request.getfixturevalue(fixture).model_copy(update={"version": version})
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(AssetError, match=rf"{pin.name} {version}: download failed .* the {pin.registry} registry$"),
    ):
        download_package(pin, tmp_path / "new")
    assert said in caplog.text


def test_successful_download_is_silent(pip_pin: Pin, tmp_path: Path, capfd: pytest.CaptureFixture):
    download_package(pip_pin, tmp_path / "new")
    assert capfd.readouterr() == ("", "")


def test_missing_client_is_named(npm_pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(AssetError, match=r"@tiny/pack 1\.0\.0: cannot start .*npm \(No such file or directory\)"):
        download_package(npm_pin, tmp_path / "new")
