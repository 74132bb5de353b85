import numpy as np
import open_clip.zero_shot_metadata as metadata
import pytest
import torch

from v2l.vocab.embed import canonical_spelling, embed_texts, group_texts, load_templates

TEXTS = [" Cat", "cat", "CAT", "dog", "  ", "dog", "\ufffd\ufffd", "!", "polar  bear"]


def test_paper_keeps_every_candidate_and_embeds_equal_texts_once() -> None:
    texts, text_id, eligible = group_texts(TEXTS, merge_spellings=False)
    assert len(texts) == len(set(TEXTS))
    assert [texts[index] for index in text_id] == TEXTS
    assert eligible.tolist() == list(range(len(TEXTS)))


def test_merged_spellings_count_once_through_the_plain_one() -> None:
    texts, text_id, eligible = group_texts(TEXTS, merge_spellings=True)
    assert [texts[index] for index in text_id] == [canonical_spelling(text) for text in TEXTS]
    assert [TEXTS[index] for index in eligible] == ["cat", "dog", "polar  bear"]
    assert eligible.tolist() == [1, 3, 8]


def test_first_plain_spelling_wins_and_any_spelling_is_better_than_none() -> None:
    assert group_texts(["Paris", "PARIS"], merge_spellings=True)[2].tolist() == [0]
    assert group_texts(["Cat", " cat", "cat"], merge_spellings=True)[2].tolist() == [1]


@pytest.mark.parametrize(("name", "count"), [("single", 1), ("simple", 7), ("openai", 80)])
def test_template_sets_have_the_papers_sizes(name: str, count: int) -> None:
    templates = load_templates(name)
    assert len(templates) == count
    assert all("cat" in template("cat") for template in templates)


def test_single_template_is_one_of_the_papers() -> None:
    assert load_templates("single")[0]("cat") in {template("cat") for template in metadata.OPENAI_IMAGENET_TEMPLATES}


def test_embedding_is_the_plain_mean_over_templates_not_rescaled() -> None:
    def encode(texts, advance):
        advance(len(texts))
        vectors = torch.stack([torch.tensor([len(text), text.count("a"), 1.0]) for text in texts])
        return torch.nn.functional.normalize(vectors, dim=-1)

    templates = ["{}".format, "aaaa {}".format, "{} by a lake".format]
    actual = embed_texts(encode, ["cat", "dog"], templates)
    for row, text in zip(actual, ["cat", "dog"], strict=True):
        one_by_one = [encode([template(text)], lambda _: None)[0] for template in templates]
        torch.testing.assert_close(row, sum(one_by_one) / 3)
    assert (actual.norm(dim=1) < 1).all()


def test_text_ids_are_compact_int32() -> None:
    _, text_id, eligible = group_texts(TEXTS, merge_spellings=True)
    assert text_id.dtype == eligible.dtype == np.int32
