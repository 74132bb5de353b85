"""Picture grids show the right pictures and words."""

import numpy as np
import pandas as pd
import pytest

from v2l.errors import ArtifactError, DataError
from v2l.report import pictures
from v2l.report.saver import house_style

from .conftest import draw_picture


def _manifest(num_classes):
    rows = [
        {
            "image_id": f"{split}/{place}-{copy}", "path": "x.png", "split": split, "class_id": place,
            "class_name": f"c{place}",
        }
        for place in range(num_classes) for split in ("train", "heldout") for copy in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@pytest.mark.parametrize(("num_classes", "expected"), [(9, [0, 4, 8]), (2, [0, 1]), (3, [0, 1, 2])])
def test_held_out_pictures_are_chosen_at_evenly_spaced_classes(num_classes, expected):
    chosen = pictures.choose_pictures(_manifest(num_classes), 3)
    assert chosen["class_id"].tolist() == expected
    assert chosen["image_id"].tolist() == [f"heldout/{place}-0" for place in expected]


def test_words_are_the_best_tokens_texts_with_their_orders(tmp_path):
    draw_picture(0).save(tmp_path / "x.png")
    tokens = pd.DataFrame({"image_id": ["heldout/0-0"], "global_ids": [np.array([2, 0, 1])]})
    codebook = pd.DataFrame({"text": [" polar bear", "\n", "ant"], "order": [2, 1, 1]})
    chosen = pictures.choose_pictures(_manifest(1), 1)
    (item,) = pictures.read_worded_pictures(chosen, tokens, codebook, tmp_path, num_words=2)
    assert item.words == [("ant", 1), ("polar bear", 2)]
    assert (item.picture.shape, item.picture.dtype) == ((128, 128, 3), np.uint8)
    (item,) = pictures.read_worded_pictures(chosen, tokens, codebook, tmp_path, num_words=3)
    assert item.words[2] == (r"'\n'", 1)


def test_words_are_written_below_their_own_picture():
    items = [
        pictures.WordedPicture(f"i{place}", f"class {place}", np.asarray(draw_picture(place)), [(f"word{place}", 2)])
        for place in range(8)
    ]
    with house_style():
        figure = pictures.words_figure(items)
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == 8
    for place, axis in enumerate(shown):
        assert axis.get_title() == f"class {place}"
        assert [text.get_text() for text in axis.texts] == ["2", f"word{place}"]
        np.testing.assert_array_equal(axis.images[0].get_array(), items[place].picture)


def test_caption_counts_pictures_whose_class_is_among_the_words():
    picture = np.zeros((2, 2, 3), np.uint8)
    items = [
        pictures.WordedPicture("noto/a", "polar bear", picture, [("Bear cub", 2)]),
        pictures.WordedPicture("noto/b", "ant", picture, [("elephant", 1)]),
    ]
    caption = pictures.words_caption(items, seed=1)
    assert "1 of 2 pictures have a word of their class name" in caption
    assert caption.endswith("Pictures: noto/a, noto/b.")


def test_originals_stand_above_their_reconstructions():
    examples = [
        pictures.Example(
            f"i{place}", f"class {place}", *(np.full((4, 4, 3), value, np.uint8) for value in (place, 100 + place))
        )
        for place in range(7)
    ]
    with house_style():
        figure = pictures.reconstruction_figure(examples)
    grid = np.array(figure.axes).reshape(4, 6)
    values = [[axis.images[0].get_array()[0, 0, 0] if axis.images else None for axis in row] for row in grid]
    assert values == [[0, 1, 2, 3, 4, 5], [100, 101, 102, 103, 104, 105], [6] + [None] * 5, [106] + [None] * 5]
    assert {image.get_interpolation() for axis in figure.axes for image in axis.images} == {"nearest"}


def test_reconstruction_caption_names_closest_and_farthest():
    blank = np.zeros((4, 4, 3), np.uint8)
    examples = [
        pictures.Example("a", "ant", blank, blank + 51),
        pictures.Example("b", "bacon", blank, blank),
    ]
    caption = pictures.reconstruction_caption(examples, seed=0)
    assert "bacon is closest (0.0 % of the range) and ant farthest (20.0 %)" in caption


def test_stored_bytes_that_are_no_picture_are_refused_by_name(tmp_path):
    rows = pd.DataFrame([{"image_id": "noto/ant", "class_name": "ant", "original": b"no", "reconstruction": b"no"}])
    with pytest.raises(ArtifactError, match=r"examples\.parquet: picture noto/ant cannot be decoded"):
        pictures.decode_examples(rows, tmp_path / "examples.parquet")


def test_unreadable_picture_and_picture_without_tokens_are_refused_by_name(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    chosen = pictures.choose_pictures(_manifest(1), 1)
    codebook = pd.DataFrame({"text": ["ant"], "order": [1]})
    tokens = pd.DataFrame({"image_id": ["heldout/0-0"], "global_ids": [[0]]})
    with pytest.raises(DataError, match=r"x\.png: not a readable picture"):
        pictures.read_worded_pictures(chosen, tokens, codebook, tmp_path, 1)
    with pytest.raises(ArtifactError, match="expected a row for picture heldout/0-0"):
        pictures.read_worded_pictures(chosen, tokens.iloc[:0], codebook, tmp_path, 1)
