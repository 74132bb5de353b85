from pathlib import Path

import pytest

from v2l.artifacts import read_rows, write_rows
from v2l.errors import ArtifactError
from v2l.words.global_words import global_words

ROWS = [{"text": text, "order": order, "count": 3} for text, order in ((" wolf", 1), (" grey wolf", 2), (" bus", 1))]


def spell(folder: Path, ids: dict[str, list[int]]) -> dict[str, list[str]]:
    write_rows(folder / "rows.parquet", ROWS)
    write_rows(folder / "tokens.parquet", [{"image_id": name, "global_ids": found} for name, found in ids.items()])
    global_words(folder / "tokens.parquet", folder / "rows.parquet", folder / "words.parquet")
    table = read_rows(folder / "words.parquet", ["image_id", "words"])
    return dict(zip(table["image_id"], map(list, table["words"]), strict=True))


def test_words_are_the_texts_of_the_tokens_best_first(tmp_path: Path):
    assert spell(tmp_path, {"a": [1, 0], "b": [2, 1]}) == {"a": [" grey wolf", " wolf"], "b": [" bus", " grey wolf"]}


@pytest.mark.parametrize("bad", [3, -1])
def test_tokens_of_another_codebook_are_refused(tmp_path: Path, bad: int):
    with pytest.raises(ArtifactError, match=r"tokens\.parquet: ids of 'b' do not fit the 3 texts of .*rows\.parquet"):
        spell(tmp_path, {"a": [0, 1], "b": [0, bad]})
    assert not (tmp_path / "words.parquet").exists()
