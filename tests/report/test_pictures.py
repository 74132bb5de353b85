"""Picture grids show the right pictures and words."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError, DataError
from v2l.report import pictures
from v2l.report.saver import house_style

from .figure_data import draw_picture, png


def _manifest(num_classes):
    rows = [
        {
            "image_id": f"{split}/{place}-{copy}", "path": "x.png", "split": split, "class_id": place,
            "class_name": f"c{place}",
        }
        for place in range(num_classes) for split in ("train", "heldout") for copy in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def _write_words(folder, tokens, codebook):
    write_rows(folder / "global.parquet", pd.DataFrame(tokens, columns=["image_id", "global_ids"]))
    write_rows(folder / "codebook.parquet", codebook)
    return folder / "global.parquet", folder / "codebook.parquet"


def _write_examples(folder, name, image_ids, value):
    rows = [
        {"image_id": i, "class_name": f"class {i}", "original": _flat(place), "reconstruction": _flat(value + place)}
        for place, i in enumerate(image_ids)
    ]  # fmt: skip
    write_rows(folder / f"examples_{name}.parquet", pd.DataFrame(rows))
    return folder / f"examples_{name}.parquet"


def _flat(value):
    return png(Image.new("RGB", (4, 4), (value, value, value)))


@pytest.mark.parametrize(("num_classes", "expected"), [(9, [0, 4, 8]), (2, [0, 1]), (3, [0, 1, 2])])
def test_held_out_pictures_are_chosen_at_evenly_spaced_classes(num_classes, expected):
    chosen = pictures.choose_pictures(_manifest(num_classes), 3)
    assert chosen["class_id"].tolist() == expected
    assert chosen["image_id"].tolist() == [f"heldout/{place}-0" for place in expected]


def test_words_are_the_best_tokens_texts_with_their_orders(tmp_path):
    draw_picture(0).save(tmp_path / "x.png")
    codebook = [{"text": " polar bear", "order": 2}, {"text": "\n", "order": 1}, {"text": "ant", "order": 1}]
    files = _write_words(tmp_path, [{"image_id": "heldout/0-0", "global_ids": [2, 0, 1]}], codebook)
    chosen = pictures.choose_pictures(_manifest(1), 1)
    (item,) = pictures.read_worded_pictures(chosen, pictures.PictureWords(*files, 2), tmp_path)
    assert item.words == [("ant", 1), ("polar bear", 2)]
    assert (item.picture.shape, item.picture.dtype) == ((128, 128, 3), np.uint8)
    (item,) = pictures.read_worded_pictures(chosen, pictures.PictureWords(*files, 3), tmp_path)
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
    assert "1 of the 2 words are bigrams or trigrams" in caption
    assert caption.endswith("Pictures: noto/a, noto/b.")


def test_originals_stand_above_a_line_for_each_tokenizer_in_the_readers_order(tmp_path):
    files = [_write_examples(tmp_path, "zebra", "abc", 50), _write_examples(tmp_path, "v2l", "bcd", 100)]
    examples = pictures.read_examples(files, 3)
    with house_style():
        figure = pictures.reconstruction_figure(examples)
    grid = np.array(figure.axes).reshape(3, 3)
    values = [[axis.images[0].get_array()[0, 0, 0] if axis.images else None for axis in row] for row in grid]
    # V2L's pictures are shown; the last of them is none of the other tokenizer's.
    assert values == [[0, 1, 2], [100, 101, 102], [51, 52, None]]
    assert [row[0].get_ylabel() for row in grid] == ["picture", "V2L", "zebra"]
    assert [axis.get_title() for axis in grid[0]] == ["class b", "class c", "class d"]
    assert {image.get_interpolation() for axis in figure.axes for image in axis.images} == {"nearest"}


def test_reconstruction_caption_ranks_tokenizers_by_lpips(tmp_path):
    files = [_write_examples(tmp_path, name, "ab", 50) for name in ("v2l", "vqgan", "spae")]
    examples = pictures.read_examples(files, 2)
    metrics = {"lpips_vgg | v2l": {"value": 0.3, "n": 40}, "lpips_vgg | vqgan": {"value": 0.25, "n": 40}}
    caption = pictures.reconstruction_caption(examples, metrics, seed=0)
    assert "mean LPIPS-VGG of 40 held-out pictures, best first: VQ-GAN 0.250, V2L 0.300." in caption
    assert "it was not measured in this run" in pictures.reconstruction_caption(examples, {}, seed=0)


def test_stored_bytes_that_are_no_picture_are_refused_by_name(tmp_path):
    rows = pd.DataFrame([{"image_id": "noto/ant", "class_name": "ant", "original": b"no", "reconstruction": b"no"}])
    write_rows(tmp_path / "examples_v2l.parquet", rows)
    with pytest.raises(ArtifactError, match=r"examples_v2l\.parquet: picture noto/ant cannot be decoded"):
        pictures.read_examples([tmp_path / "examples_v2l.parquet"], 1)


def test_unreadable_picture_and_picture_without_tokens_are_refused_by_name(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    chosen = pictures.choose_pictures(_manifest(1), 1)
    codebook = [{"text": "ant", "order": 1}]
    files = _write_words(tmp_path, [{"image_id": "heldout/0-0", "global_ids": [0]}], codebook)
    with pytest.raises(DataError, match=r"x\.png: not a readable picture"):
        pictures.read_worded_pictures(chosen, pictures.PictureWords(*files, 1), tmp_path)
    draw_picture(0).save(tmp_path / "x.png")
    files = _write_words(tmp_path, [], codebook)
    with pytest.raises(ArtifactError, match=r"global\.parquet: expected a row for picture heldout/0-0"):
        pictures.read_worded_pictures(chosen, pictures.PictureWords(*files, 1), tmp_path)
