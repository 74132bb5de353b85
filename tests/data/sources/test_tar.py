import gzip
import io
import tarfile
from pathlib import Path

import pytest

from v2l.data.sources.locator import open_picture
from v2l.data.sources.tar import scan_tar, scan_tar_of_tars
from v2l.errors import DataError

from .replicas import tar_bytes

FILES = {"a.JPEG": b"first" * 300, "b.JPEG": b"second", "c.JPEG": b"third" * 200}


def write(folder: Path, content: bytes) -> Path:
    path = folder / "pictures.tar"
    path.write_bytes(content)
    return path


def read(paths: dict[str, str]) -> dict[str, bytes]:
    return {name: open_picture(path).read() for name, path in paths.items()}


def test_members_are_read_by_their_byte_ranges(tmp_path: Path):
    found = scan_tar(write(tmp_path, tar_bytes(FILES)))
    assert read(found.paths) == FILES
    assert found.num_ignored == 0


def test_ranges_in_inner_archives_are_those_of_the_outer_file(tmp_path: Path):
    inner = {"n1": FILES, "n2": {"a.JPEG": b"another"}}
    path = write(
        tmp_path, tar_bytes({"x.txt": b"-", **{f"{name}.tar": tar_bytes(files) for name, files in inner.items()}})
    )
    *found, (rest_name, rest) = scan_tar_of_tars(path)
    assert {name: read(each.paths) for name, each in found} == inner
    assert (rest_name, rest.paths, rest.num_ignored) == ("", {}, 1)


def test_what_is_no_picture_or_leaves_the_top_folder_is_passed_over_and_counted(tmp_path: Path):
    strange = {"../out.JPEG": b"-", "/etc/a.JPEG": b"-", "sub/a.JPEG": b"-", "._a.JPEG": b"-", "list.txt": b"-"}
    found = scan_tar(write(tmp_path, tar_bytes({**strange, "./b.JPEG": b"kept"})))
    assert read(found.paths) == {"b.JPEG": b"kept"}
    assert found.num_ignored == len(strange)


def test_links_are_passed_over(tmp_path: Path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("a.JPEG")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        folder = tarfile.TarInfo("b.JPEG")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    found = scan_tar(write(tmp_path, file.getvalue()))
    assert (found.paths, found.num_ignored) == ({}, 1)


def test_names_longer_than_a_header_are_kept(tmp_path: Path):
    name = "x" * 150 + ".JPEG"
    assert read(scan_tar(write(tmp_path, tar_bytes({name: b"long"}))).paths) == {name: b"long"}


# The archive: 512 header + 1536 data, 512 + 512, 512 + 1024, then zeros.
@pytest.mark.parametrize("length", [0, 100, 600, 2048, 2100, 2500, 2560, 3072, 3500, 4608])
def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path, length: int):
    path = write(tmp_path, tar_bytes(FILES)[:length])
    with pytest.raises(DataError, match=r"pictures\.tar: expected a whole, uncompressed tar archive") as error:
        scan_tar(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [600, 2560, 3072, 4608])
def test_a_truncated_inner_archive_is_named(tmp_path: Path, length: int):
    path = write(tmp_path, tar_bytes({"n1.tar": tar_bytes(FILES)[:length]}))
    with pytest.raises(DataError, match=r"pictures\.tar: member n1\.tar: expected a whole"):
        list(scan_tar_of_tars(path))


@pytest.mark.parametrize("length", [600, 2500, 6000, 12000])
def test_a_truncated_archive_of_archives_is_refused(tmp_path: Path, length: int):
    inner = tar_bytes(FILES)
    content = tar_bytes({"n1.tar": inner, "n2.tar": inner})
    assert len(content) > 12000
    with pytest.raises(DataError, match=r"pictures\.tar: "):
        list(scan_tar_of_tars(write(tmp_path, content[:length])))


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path):
    content = bytearray(tar_bytes(FILES))
    content[2048:2060] = b"\xff" * 12
    with pytest.raises(DataError, match="found neither a member nor the end at byte 2048"):
        scan_tar(write(tmp_path, bytes(content)))


def test_compressed_archives_and_other_files_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"expected an uncompressed tar archive, found gzip data; decompress it first"):
        scan_tar(write(tmp_path, gzip.compress(tar_bytes(FILES))))
    with pytest.raises(DataError, match=r"found neither a member nor the end at byte 0"):
        scan_tar(write(tmp_path, b"<html>" * 200))
    with pytest.raises(DataError, match=r"none\.tar: cannot be read"):
        scan_tar(tmp_path / "none.tar")
