"""Captioning end to end with the embedded LLM, and what it refuses."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest
import torch

from v2l.artifacts import sha256_file, write_rows
from v2l.config.caption import CaptionConfig
from v2l.config.llm import LlmConfig
from v2l.data.manifest import COLUMNS as MANIFEST_COLUMNS
from v2l.errors import ArtifactError, DataError, ModelError
from v2l.experiments.caption import CONDITIONS, caption
from v2l.experiments.in_context import Query, make_requests
from v2l.metrics.caption_scores import score_captions
from v2l.models.llm import load_llm
from v2l.runtime import Runtime

from ..parts import assert_parts_make_the_whole

CAPTIONS = {
    "train/wolf": ["wolf", "animal", "face"],
    "train/bus": ["school bus", "vehicle"],
    "train/cat": ["cat", "animal"],
    "train/tea": ["cup of tea.", "drink"],
    "heldout/dog": ["dog", "animal", "*"],
    "heldout/bus": ["bus", "vehicle"],
    "heldout/cow": ["cow", "animal"],
}
WORDS = {
    "train/wolf": [" wolf", " dog", " husky"],
    "train/bus": [" bus", " van", " traffic"],
    "train/cat": [" cat", " kitten", " fur"],
    "train/tea": [" tea", " cup", " drink"],
    "heldout/dog": [" dog", " puppy", " hound"],
    "heldout/bus": [" coach", " school bus", " road"],
    "heldout/cow": [" cow", " cattle", " milk"],
}
COLUMNS = [
    "image_id",
    "condition",
    "prediction",
    "references",
    "cider_d",
    "bleu_4",
    "rouge_l",
    "prompt",
    "prompt_sha256",
    "num_prompt_tokens",
    "context_ids",
]


@pytest.fixture
def source(assets: Path) -> LlmConfig:
    return LlmConfig(source=str(assets / "llm"))


def write_inputs(folder: Path, captions: dict = CAPTIONS, words: dict = WORDS) -> dict[str, Path]:
    paths = {name: folder / f"{name}.parquet" for name in ("manifest", "words")}
    columns = dict.fromkeys(MANIFEST_COLUMNS, "")
    write_rows(
        paths["manifest"],
        [
            {**columns, "image_id": key, "split": key.split("/")[0], "captions": texts}
            for key, texts in captions.items()
        ],
    )
    write_rows(paths["words"], [{"image_id": key, "words": texts} for key, texts in words.items()])
    return paths


def run(folder: Path, source: LlmConfig, inputs: dict[str, Path], budget: int = 2048, **changes) -> Path:
    path = folder / f"predictions-{budget}.parquet"
    caption(
        **inputs,
        predictions=path,
        config=CaptionConfig(**{"num_context": 3, "num_global": 2, "max_new_tokens": 6, **changes}),
        llm=source,
        seed=0,
        runtime=Runtime(torch.device("cpu"), torch.float32, image_batch=1, llm_batch_tokens=budget),
    )
    return path


def test_stage_writes_one_row_a_picture_and_condition(tmp_path: Path, source: LlmConfig):
    table = pd.read_parquet(run(tmp_path, source, write_inputs(tmp_path)))
    assert table.columns.tolist() == COLUMNS
    heldout = ["heldout/dog", "heldout/bus", "heldout/cow"]
    assert list(zip(table["condition"], table["image_id"], strict=True)) == [
        (condition, image_id) for image_id in heldout for condition in CONDITIONS
    ]
    assert [list(texts) for texts in table["references"][::3]] == [
        ["dog", "animal"],
        ["bus", "vehicle"],
        ["cow", "animal"],
    ]
    assert table.loc[table["condition"] == "most frequent caption", "prediction"].eq("animal").all()
    assert not table["prediction"].str.contains(r"[.\n]").any()
    ours, floor = table.iloc[3], table.iloc[4]
    lines = ours["prompt"].split("\n")
    assert len(lines) == 4
    for line, image_id in zip(lines, ours["context_ids"], strict=False):
        shown = ", ".join(word.strip() for word in WORDS[image_id][:2])
        assert line == f"Input: < {shown} > Output: {CAPTIONS[image_id][0].removesuffix('.')}."
    assert lines[3] == "Input: < coach, school bus > Output: "
    assert floor["prompt"].split("\n")[:3] == lines[:3]
    assert floor["prompt"] != ours["prompt"]
    assert ours["prompt_sha256"] == hashlib.sha256(ours["prompt"].encode()).hexdigest()
    assert table["num_prompt_tokens"].iloc[2::3].eq(0).all()
    for _, rows in table.groupby("condition", sort=False):
        scores = score_captions(rows["prediction"], rows["references"])
        assert (rows[list(scores)].to_numpy() == scores.to_numpy()).all()


def test_token_budget_changes_no_byte_of_the_predictions(tmp_path: Path, source: LlmConfig):
    inputs = write_inputs(tmp_path)
    hashes = {sha256_file(run(tmp_path, source, inputs, budget)) for budget in (1, 4096)}
    assert len(hashes) == 1


def test_parts_make_the_whole(tmp_path: Path, random_llm: LlmConfig):
    """Also where only some of the pictures are captioned; scores are those of the whole set."""
    for max_images in (None, 2):
        config = CaptionConfig(num_context=3, num_global=2, max_new_tokens=6, max_images=max_images)
        sections = {"caption": config, "llm": random_llm, "precision": "bf16"}
        folder = tmp_path / str(max_images)
        whole = assert_parts_make_the_whole("caption", sections, write_inputs(tmp_path), folder)
        assert len(pd.read_parquet(whole["predictions"])) == 3 * (max_images or 3)


def test_order_of_the_manifest_changes_no_prediction(tmp_path: Path, source: LlmConfig):
    table = pd.read_parquet(run(tmp_path, source, write_inputs(tmp_path)))
    turned = pd.read_parquet(run(tmp_path, source, write_inputs(tmp_path, dict(reversed(CAPTIONS.items())))))
    key = ["condition", "image_id"]
    columns = ["prediction", "prompt_sha256"]
    assert table.set_index(key).sort_index()[columns].equals(turned.set_index(key).sort_index()[columns])


def test_conditions_share_their_context_and_answers_stop(source: LlmConfig):
    llm = load_llm(source, Runtime(torch.device("cpu"), torch.float32, image_batch=1, llm_batch_tokens=64))
    context = "Input: < wolf > Output: a wolf.\n"
    queries = [
        Query("x", condition, f"{context}Input: < {words} > Output: ", (), condition)
        for condition, words in (("one", "cow"), ("two", "bus, van"))
    ]
    first, second = make_requests(queries, llm, 5)
    assert first.segments[0] == second.segments[0]
    assert len(first.segments[0]) >= len(llm.tokenize([context])[0])
    for text in (".", "\n", ".\n"):
        (ids,) = llm.tokenize([text])
        assert first.decoding.allowed([7, *ids]) == ()
    assert first.decoding.allowed(llm.tokenize([" wolf"])[0]) is None


def test_only_so_many_pictures_are_captioned(tmp_path: Path, source: LlmConfig):
    table = pd.read_parquet(run(tmp_path, source, write_inputs(tmp_path), max_images=2))
    assert set(table["image_id"]) == {"heldout/dog", "heldout/cow"}


@pytest.mark.parametrize("texts", [[], ["*"]])
def test_a_picture_without_captions_is_refused(tmp_path: Path, texts: list[str]):
    inputs = write_inputs(tmp_path, {**CAPTIONS, "heldout/bus": texts})
    with pytest.raises(
        DataError, match=r"manifest\.parquet: 1 picture.* no caption with a word, the first is 'heldout"
    ):
        run(tmp_path, LlmConfig(source="unused"), inputs)


def test_a_single_held_out_picture_is_refused(tmp_path: Path):
    captions = {key: texts for key, texts in CAPTIONS.items() if key not in {"heldout/dog", "heldout/cow"}}
    with pytest.raises(DataError, match="2 or more held-out pictures, found 1"):
        run(tmp_path, LlmConfig(source="unused"), write_inputs(tmp_path, captions))


def test_a_picture_without_words_is_refused(tmp_path: Path):
    words = {key: texts for key, texts in WORDS.items() if key != "heldout/cow"}
    with pytest.raises(ArtifactError, match=r"words\.parquet: no words of picture 'heldout/cow'"):
        run(tmp_path, LlmConfig(source="unused"), write_inputs(tmp_path, words=words))


def test_too_few_words_and_too_few_samples_are_refused(tmp_path: Path):
    inputs = write_inputs(tmp_path)
    with pytest.raises(ArtifactError, match=r"expected 4 or more words of 'train/.*', found 3"):
        run(tmp_path, LlmConfig(source="unused"), inputs, num_global=4)
    with pytest.raises(DataError, match=r"caption\.num_context: 5 samples .* which have 4"):
        run(tmp_path, LlmConfig(source="unused"), inputs, num_context=5)


def test_a_prompt_beyond_the_context_is_refused_by_name(tmp_path: Path, source: LlmConfig):
    short = LlmConfig(source=source.source, max_context=30)
    with pytest.raises(ModelError, match=r"caption: picture heldout/dog, picture words: \d+ tokens .* context of 30"):
        run(tmp_path, short, write_inputs(tmp_path))
    assert not list(tmp_path.glob("predictions*"))
