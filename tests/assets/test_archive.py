import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from v2l.assets.archive import extract
from v2l.errors import AssetError


def make_zip(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def make_tar(path: Path, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


def written(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_only_the_named_files_of_a_wheel_are_written(tmp_path: Path, folder: Path):
    archive = make_zip(tmp_path / "a.whl", {"pack/model/a.txt": "A", "pack/__init__.py": "raise SystemExit"})
    extract(archive, {"pack/model/a.txt": "deep/a.txt"}, folder)
    assert written(folder) == {"deep/a.txt": "A"}


def test_top_folder_of_an_npm_package_is_left_out(tmp_path: Path, folder: Path):
    archive = make_tar(tmp_path / "a.tgz", {"package/icons.json": "{}", "package/en/data.json": "[]"})
    extract(archive, {"icons.json": "noto.json", "en/data.json": "data.json"}, folder)
    assert written(folder) == {"noto.json": "{}", "data.json": "[]"}


def test_hostile_member_names_write_nothing(tmp_path: Path, folder: Path):
    files = {"../evil.txt": "E", "/tmp/evil.txt": "E", "package/../../evil.txt": "E", "package/good.txt": "G"}
    extract(make_tar(tmp_path / "a.tgz", files), {"good.txt": "good.txt"}, folder)
    extract(make_zip(tmp_path / "a.whl", files), {"package/good.txt": "good.txt"}, folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tgz", "a.whl", "good.txt", "out"]


def test_target_outside_the_folder_is_refused(tmp_path: Path, folder: Path):
    archive = make_zip(tmp_path / "a.whl", {"a.txt": "A"})
    with pytest.raises(AssetError, match=r"a\.whl: refused to write .*evil\.txt, outside"):
        extract(archive, {"a.txt": "../evil.txt"}, folder)
    assert not (tmp_path / "evil.txt").exists()


def test_link_does_not_stand_in_for_a_file(tmp_path: Path, folder: Path):
    archive = make_tar(tmp_path / "a.tgz", {}, links={"package/a.txt": "/etc/passwd"})
    with pytest.raises(AssetError, match=r"a\.tgz: expected file\(s\) a\.txt, not in the archive"):
        extract(archive, {"a.txt": "a.txt"}, folder)


def test_missing_file_is_named(tmp_path: Path, folder: Path):
    archive = make_zip(tmp_path / "a.whl", {"a.txt": "A"})
    with pytest.raises(AssetError, match=r"a\.whl: expected file\(s\) b\.txt, c\.txt, not in the archive"):
        extract(archive, {"a.txt": "a", "c.txt": "c", "b.txt": "b"}, folder)


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_damaged_archive_is_refused(tmp_path: Path, folder: Path, make):
    whole = make(tmp_path / "whole", {"package/a.txt": "A" * 10_000}).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AssetError, match="cut: not a readable archive"):
        extract(tmp_path / "cut", {"a.txt": "a"}, folder)
