"""The sequence of masked restoration: an example written out, labels and masks."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from v2l.errors import ConfigError
from v2l.models.llm import Llm
from v2l.prompts.masked import IGNORED, MaskedPrompt, draw_mask, training_sequence

MAP = np.array([500, 501, 502, 503])
HOLES = np.array([False, True, False, True])


class Letters:
    """A tokenizer with a token for each character, as in ASCII; like SentencePiece it puts a blank before a text."""

    start_ids = (1,)

    def tokenize(self, texts):
        return [list(map(ord, f" {text}")) for text in texts]

    def tokenize_after(self, context, text):  # noqa: ARG002
        return list(map(ord, text))


class EmbeddedTokenizer(Llm):
    """The embedded LLM without its model."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self.start_ids = []

    def decode(self, ids):
        return self._tokenizer.decode(ids)


def spelt(ids) -> str:
    return "".join(f"[{i}]" if i >= 500 else chr(i) for i in ids)


def test_a_map_with_holes_is_shown_between_the_words():
    prompt = MaskedPrompt.make(Letters(), "_")
    shared, rest = prompt.segments(MAP, HOLES)
    assert spelt(shared) == "\x01 Fill in the masked tokens.\nInput: < "
    assert spelt(rest) == "[500]_[502]_ >\nOutput: < "
    assert MAP.tolist() == [500, 501, 502, 503]


def test_the_answer_is_the_whole_map_and_only_its_masked_places_are_labelled():
    prompt = MaskedPrompt.make(Letters(), "_")
    ids, labels = training_sequence(prompt, MAP, HOLES)
    assert spelt(ids) == "\x01 Fill in the masked tokens.\nInput: < [500]_[502]_ >\nOutput: < [500][501][502][503]"
    assert labels == [*[IGNORED] * (len(ids) - 4), IGNORED, 501, IGNORED, 503]


@pytest.mark.parametrize(("text", "count"), [("mask", 4), ("", 0)])
def test_a_mask_that_is_not_one_token_is_refused(text: str, count: int):
    expected = rf"masked\.mask\.text: expected the text of one token, found '{text}' of {count}"
    with pytest.raises(ConfigError, match=expected):
        MaskedPrompt.make(Letters(), text)


@pytest.mark.parametrize("text", [" _", "_", "mask", " mask"])
def test_the_embedded_llm_has_the_mask_as_one_token(assets: Path, text: str):
    llm = EmbeddedTokenizer(assets / "llm")
    assert llm.decode([MaskedPrompt.make(llm, text).mask_id]) == text


def test_a_rounded_share_is_masked_and_never_nothing():
    for count, share, expected in ((256, 0.3, 77), (16, 0.3, 5), (16, 0.99, 16), (16, 0.01, 1)):
        assert draw_mask(count, share, 0, "picture").sum() == expected


def test_a_mask_depends_on_seed_and_item_alone():
    first = draw_mask(256, 0.3, 0, "training", 1, "set/1")
    others = [(1, "training", 1, "set/1"), (0, "training", 2, "set/1"), (0, "training", 1, "set/2")]
    for seed, *item in others:
        assert (draw_mask(256, 0.3, seed, *item) != first).any()
    assert (draw_mask(256, 0.3, 0, "training", 1, "set/1") == first).all()


def test_every_place_is_masked_equally_often():
    counts = np.sum([draw_mask(16, 0.25, 0, item) for item in range(1000)], axis=0)
    deviation = (1000 * 0.25 * 0.75) ** 0.5
    assert (np.abs(counts - 250) < 4 * deviation).all()
