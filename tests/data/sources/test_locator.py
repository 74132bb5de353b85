from pathlib import Path

import pytest

from v2l.data.sources.locator import member_locator, open_picture


def test_a_locator_opens_the_bytes_it_names(tmp_path: Path):
    (tmp_path / "a.tar").write_bytes(b"0123456789")
    with open_picture(member_locator(tmp_path / "a.tar", 3, 4)) as file:
        assert file.read() == b"3456"
        file.seek(1)
        assert file.read(2) == b"45"


@pytest.mark.parametrize("name", ["a.jpg", "a#1+2.jpg", "a.tar#1+2x", "a.jpg#1+2"])
def test_other_paths_open_the_file_itself(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"whole")
    with open_picture(tmp_path / name) as file:
        assert file.read() == b"whole"


def test_a_folder_may_be_called_like_a_locator(tmp_path: Path):
    folder = tmp_path / "b.tar#0+1"
    folder.mkdir()
    (folder / "a.tar").write_bytes(b"0123")
    with open_picture(Path(f"{folder}/a.tar#2+2")) as file:
        assert file.read() == b"23"


def test_a_range_beyond_the_archive_is_refused(tmp_path: Path):
    (tmp_path / "a.tar").write_bytes(b"0123456789")
    with pytest.raises(EOFError, match="archive ends 2 bytes before the picture does"):
        open_picture(f"{tmp_path}/a.tar#8+4")


def test_a_missing_archive_is_a_missing_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        open_picture(f"{tmp_path}/a.tar#8+4")
