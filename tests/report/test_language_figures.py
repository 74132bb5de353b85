"""Captions and answers are shown as they were given, beside their own pictures, without picking good ones."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError
from v2l.report import language_figures as module
from v2l.report.pictures import PictureWords
from v2l.report.saver import house_style

from .figure_data import draw_picture


@pytest.fixture(scope="module")
def items(figure_data):
    """Captions and answers as they are shown."""
    captions = module.read_captions(figure_data / "caption/predictions.parquet")
    answers = module.read_answers(figure_data / "vqa/predictions.parquet")
    manifest = figure_data / "data/manifest.parquet"
    paths = pd.read_parquet(manifest).set_index("image_id")["path"].to_dict()
    tokens, codebook = (figure_data / f"{name}_orders_1_3.parquet" for name in ("tokens/global", "vocab/codebook"))
    words = PictureWords(tokens, codebook, 2)
    return (
        module.captioned(module.choose(captions, 3), manifest, paths, words),
        module.answered(module.choose(answers, 3), manifest, paths, words),
    )


@pytest.mark.parametrize(("count", "expected"), [(1, ["0"]), (3, ["0", "2", "4"]), (9, list("01234"))])
def test_items_are_evenly_spaced_over_those_from_picture_words(count, expected):
    rows = pd.DataFrame(
        {"image_id": [str(i // 2) for i in range(10)], "condition": ["random words", "picture words"] * 5}
    )
    assert module.choose(rows, count)["image_id"].tolist() == expected


def test_each_picture_stands_beside_its_own_lines(items):
    with house_style():
        figure = module.language_figure(*items)
    grid = np.array(figure.axes).reshape(3, 4)
    for column, (heading, shown) in enumerate(zip(module.HEADINGS, items, strict=True)):
        assert grid[0, 2 * column].get_title(loc="left") == heading
        for line, item in zip(grid, shown, strict=True):
            picture, text = line[2 * column : 2 * column + 2]
            np.testing.assert_array_equal(picture.images[0].get_array(), item.picture)
            written = " ".join(part.get_text() for part in text.texts)
            assert item.verdict[0][1:].strip() in written
    assert np.asarray(items[0][0].picture).shape == (128, 128, 3)
    assert np.abs(np.asarray(draw_picture(0).resize((128, 128))).astype(int) - items[0][0].picture).mean() < 5


def test_fewer_answers_than_captions_leave_places_empty(items):
    captions, answers = items
    with house_style():
        figure = module.language_figure(captions, answers[:1])
    grid = np.array(figure.axes).reshape(3, 4)
    assert [bool(axis.images) for axis in grid[:, 0]] == [True] * 3
    assert [bool(axis.images) for axis in grid[:, 2]] == [True, False, False]


def test_verdicts_follow_from_references_and_official_accuracy(items):
    captions, answers = items
    assert [item.verdict[0] for item in captions] == [
        "~ shares words, ROUGE-L 0.200", "✓ as a reference", "✓ as a reference",
    ]  # fmt: skip
    assert [item.verdict[0] for item in answers] == [
        "✗ wrong: accuracy 0.0 %", "✓ right: accuracy 100.0 %", "✓ right: accuracy 100.0 %",
    ]  # fmt: skip


def test_an_equal_caption_may_differ_in_case_and_punctuation():
    row = pd.Series({"prediction": " A Red ant. ", "references": ["bee", "a red ant"], "rouge_l": 1.0})
    assert module._caption_verdict(row)[0] == "✓ as a reference"
    row = pd.Series({"prediction": "", "references": ["bee"], "rouge_l": 0.0})
    assert module._caption_verdict(row)[0] == "✗ shares no word"


def test_answers_show_how_many_gave_them(items):
    lines = {label: text for label, text, _ in items[1][2].lines}
    assert lines["reference"] == "violin (7), red (3)"
    assert lines["question"].startswith("What kind of thing")


def _rows(means, column):
    return pd.DataFrame(
        [
            {"condition": condition, column: value, "image_id": "a", "question_id": "q", "prediction": "ant",
             "references": ["ant"]}
            for condition, value in means.items()
        ]
    )  # fmt: skip


def test_caption_tells_means_and_names_the_floors_that_are_not_passed():
    captions = _rows({"picture words": 0.5, "random words": 0.7, "most frequent caption": 0.1}, "cider_d")
    answers = _rows({"picture words": 0.5, "random words": 0.25, "majority answer": 0.4}, "accuracy")
    shown = [module.choose(rows, 1) for rows in (captions, answers)]
    text = module.language_caption(captions, answers, *shown, seed=8)
    assert "1 of all 1 captions equal a reference" in text
    assert (
        "mean CIDEr-D is 0.500 with the picture's words, no higher than random words (random words 0.700, "
        "most frequent caption 0.100)" in text
    )
    assert "mean VQA accuracy is 50.0 % with the picture's words, above every floor (random words 25.0 %" in text
    assert text.endswith("Seed 8. Items: a, q.")


def test_file_without_captions_from_picture_words_is_refused(figure_data, tmp_path):
    rows = pd.read_parquet(figure_data / "caption/predictions.parquet")
    write_rows(tmp_path / "predictions.parquet", rows[rows["condition"] == "random words"])
    with pytest.raises(ArtifactError, match="column condition: expected some rows with picture words, found none"):
        module.read_captions(tmp_path / "predictions.parquet")
