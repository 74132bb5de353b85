from pathlib import Path

import pytest

from v2l.artifacts import read_rows, write_rows
from v2l.errors import ArtifactError
from v2l.words.local_words import local_words

TOKENS = [" a", "b", " c", "\n"]  # by token id


def spell(folder: Path, ids: dict[str, list[int]]) -> dict[str, list[str]]:
    grown = [
        {"order": order, "text": text if order == 1 else f"{text} of order {order}"}
        for order in (1, 2, 3)
        for text in TOKENS
    ]
    write_rows(folder / "candidates.parquet", grown)
    write_rows(folder / "tokens.parquet", [{"image_id": name, "local_ids": found} for name, found in ids.items()])
    local_words(folder / "tokens.parquet", folder / "candidates.parquet", folder / "words.parquet")
    table = read_rows(folder / "words.parquet", ["image_id", "words"])
    return dict(zip(table["image_id"], map(list, table["words"]), strict=True))


def test_words_are_the_texts_of_the_llms_tokens_in_stored_order(tmp_path: Path):
    assert spell(tmp_path, {"x": [2, 0, 0, 3], "y": [1, 1, 3, 2]}) == {
        "x": [" c", " a", " a", "\n"],
        "y": ["b", "b", "\n", " c"],
    }


@pytest.mark.parametrize("bad", [4, 11, -1])
def test_ids_beyond_the_vocabulary_are_refused_though_longer_candidates_have_such_numbers(tmp_path: Path, bad: int):
    with pytest.raises(ArtifactError, match=r"tokens\.parquet: ids of 'y' do not fit the 4 texts of .*candidates"):
        spell(tmp_path, {"x": [0, 1], "y": [bad, 0]})
    assert not (tmp_path / "words.parquet").exists()
