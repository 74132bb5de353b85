"""Caption scores against examples worked by hand and slow definitions."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from v2l.metrics.caption_scores import bleu_counts, bleu_of_counts, score_captions, tokenize

from .recompute import corpus_bleu

VOCABULARY = ["a", "red", "dog", "runs", "on", "the", "grass"]


def random_set(seed: int, count: int = 12) -> tuple[list[str], list[list[str]]]:
    generator = np.random.default_rng(seed)

    def sentence(shortest: int) -> str:
        return " ".join(generator.choice(VOCABULARY, generator.integers(shortest, 9)))

    return [sentence(0) for _ in range(count)], [
        [sentence(1) for _ in range(generator.integers(1, 4))] for _ in range(count)
    ]


def ngrams(text: str, order: int) -> Counter:
    words = text.split()
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def slow_cider_d(predictions: list[str], references: list[list[str]]) -> list[float]:
    """Vedantam et al. 2015, equation 6 onwards, as coco-caption has it: sigma 6, lengths counted in bigrams."""
    total = len(predictions)
    scores = []
    for prediction, texts in zip(predictions, references, strict=True):
        by_order = []
        for order in (1, 2, 3, 4):

            def weights(text: str, order: int = order) -> dict:
                return {
                    ngram: count
                    * math.log(
                        total / max(1, sum(any(ngram in ngrams(t, order) for t in others) for others in references))
                    )
                    for ngram, count in ngrams(text, order).items()
                }

            ours, terms = weights(prediction), []
            for text in texts:
                theirs = weights(text)
                dot = sum(min(value, theirs.get(key, 0)) * theirs.get(key, 0) for key, value in ours.items())
                norm = math.sqrt(sum(v * v for v in ours.values()) * sum(v * v for v in theirs.values()))
                gap = sum(ngrams(prediction, 2).values()) - sum(ngrams(text, 2).values())
                terms.append((dot / norm if norm else 0.0) * math.exp(-(gap**2) / 72))
            by_order.append(sum(terms) / len(terms))
        scores.append(10 * sum(by_order) / 4)
    return scores


def slow_rouge_l(prediction: str, references: list[str]) -> float:
    def longest(a: list[str], b: list[str]) -> int:
        return max(
            length
            for length in range(min(len(a), len(b)) + 1)
            if set(itertools.combinations(a, length)) & set(itertools.combinations(b, length))
        )

    words = prediction.split()
    if not words:
        return 0.0
    common = [(longest(words, text.split()), len(text.split())) for text in references]
    precision = max(length for length, _ in common) / len(words)
    recall = max(length / size for length, size in common)
    return (1 + 1.44) * precision * recall / (recall + 1.44 * precision) if precision else 0.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Red Dog.", ["a", "red", "dog"]),
        ("rescue worker\N{RIGHT SINGLE QUOTATION MARK}s helmet", ["rescue", "worker", "'s", "helmet"]),
        ("X-ray, e-mail!", ["x-ray", "e-mail"]),
        ("three o'clock", ["three", "o'clock"]),
        ("'quoted' (piñata) & 1st", ["quoted", "piñata", "1st"]),
        ("*", []),
        ("", []),
    ],
)
def test_words_of_a_caption(text: str, words: list[str]):
    assert tokenize(text) == words


def test_perfect_captions_of_four_words_reach_the_top():
    texts = ["a red dog runs", "two cats eat fish"]
    scores = score_captions(texts, [[text] for text in texts])
    # Every n-gram is in one of two items, so no weight is 0; float64 products of four ratios of counts plus 1e-9.
    assert scores["cider_d"].tolist() == pytest.approx([10, 10], abs=1e-12)
    assert scores["bleu_4"].tolist() == pytest.approx([1, 1], abs=1e-8)
    assert scores["rouge_l"].tolist() == pytest.approx([1, 1], abs=1e-12)


def test_a_perfect_caption_of_one_word_earns_a_quarter_of_cider_d_and_next_to_no_bleu():
    scores = score_captions(["wolf", "bus"], [["wolf"], ["bus"]])
    assert scores["cider_d"].tolist() == pytest.approx([2.5, 2.5], abs=1e-12)
    assert scores["bleu_4"].max() < 1e-4
    assert scores["rouge_l"].tolist() == [1, 1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_equal_slow_definitions(seed: int):
    predictions, references = random_set(seed)
    scores = score_captions(predictions, references)
    # float64 sums of fewer than a hundred terms of order 1.
    assert scores["cider_d"].tolist() == pytest.approx(slow_cider_d(predictions, references), abs=1e-10)
    expected = [slow_rouge_l(*item) for item in zip(predictions, references, strict=True)]
    assert scores["rouge_l"].tolist() == pytest.approx(expected, abs=1e-12)


def test_bleu_worked_by_hand():
    # Of "the dog runs on the red grass" 5 of 7 words match (no reference has a second "the"), 4 of 6 pairs, 3 of 5
    # triples and 1 of 4 quadruples; of the references' 6 and 3 words, 6 are closer to 7.
    (counts,) = bleu_counts(["The dog runs on the red grass."], [["a dog runs on the grass", "the dog runs"]])
    assert counts.tolist() == [5, 4, 3, 1, 7, 6, 5, 4, 7, 6]
    expected = (5 / 7 * 4 / 6 * 3 / 5 * 1 / 4) ** 0.25
    assert bleu_of_counts(counts) == pytest.approx(expected, abs=1e-8)


def test_short_captions_pay_for_their_brevity():
    (counts,) = bleu_counts(["a red dog runs"], [["a red dog runs on grass"]])
    assert bleu_of_counts(counts) == pytest.approx(math.exp(1 - 6 / 4), abs=1e-8)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_counts_give_the_bleu_of_the_library(seed: int):
    predictions, references = random_set(seed)
    counts = bleu_counts(predictions, references)
    # The same formula in float64; the fourth root of a product of 1e-15 keeps 12 digits.
    assert bleu_of_counts(counts.sum(axis=0)) == pytest.approx(corpus_bleu(predictions, references), rel=1e-9)
    items = score_captions(predictions, references)["bleu_4"].to_numpy()
    np.testing.assert_allclose(bleu_of_counts(counts), items, rtol=1e-9)


def test_case_and_punctuation_do_not_matter():
    references = [["a red dog runs"], ["the grass"]]
    plain = score_captions(["a red dog", "grass"], references)
    assert score_captions(["A red, dog!", "(Grass)."], references).equals(plain)


def test_order_of_items_does_not_matter():
    predictions, references = random_set(3)
    forth, back = score_captions(predictions, references), score_captions(predictions[::-1], references[::-1])
    np.testing.assert_allclose(forth.to_numpy(), back.to_numpy()[::-1], rtol=1e-12)


def test_an_empty_caption_scores_nothing():
    scores = score_captions(["", "the grass"], [["a red dog runs"], ["the grass"]])
    assert scores.loc[0].tolist() == [0, 0, 0]
    assert bleu_of_counts(bleu_counts([""], [["a red dog runs"]]).sum(axis=0)) == 0


def test_a_single_item_is_refused():
    with pytest.raises(ValueError, match="less than 2 candidates"):
        score_captions(["a dog"], [["a dog"]])
