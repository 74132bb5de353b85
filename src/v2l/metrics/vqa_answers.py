"""The official rule of VQA: normalised answers, and accuracy against the answers of ten people (paper, Figure 5).

As visualqa.org/evaluation.html and its script vqaEval.py have it. Where the script does not do what the page says, the
page is followed: both sides are always normalised in full (versions of the script leave out the people's articles and
number words, or everything where all ten agree to the letter), and apostrophes and colons are kept.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import yaml

MATCHES_FOR_FULL_ACCURACY = 3

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBER_WORDS)}}
_ARTICLES = frozenset({"a", "an", "the"})
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """Mean of min(matches / 3, 1) over the sets that leave one answer out, all texts normalised.

    Of ten answers, 0, 1, 2, 3 and 4 matches give 0, 0.3, 0.6, 0.9 and 1. Raises ValueError if there are fewer than two
    answers.
    """
    if len(answers) < 2:
        raise ValueError(f"expected two or more answers, found {len(answers)}")
    predicted = normalize_answer(prediction)
    matches = [normalize_answer(answer) == predicted for answer in answers]
    left = [sum(matches) - match for match in matches]
    # Integers are summed, so that equal numbers of matches give equal bits.
    return sum(min(count, MATCHES_FOR_FULL_ACCURACY) for count in left) / (MATCHES_FOR_FULL_ACCURACY * len(answers))


def normalize_answer(text: str) -> str:
    """An answer in the form in which answers are compared: lower case, without punctuation and articles, number words
    up to ten as digits, contractions with their apostrophe, words parted by one blank."""
    words = _strip_punctuation(text.replace("\n", " ").replace("\t", " ").strip()).lower().split()
    numbered = [_NUMBERS.get(word, word) for word in words]
    contractions = _contractions()
    return " ".join(contractions.get(word, word) for word in numbered if word not in _ARTICLES)


def _strip_punctuation(text: str) -> str:
    """Without punctuation but apostrophe, colon and a period before a digit.

    A sign becomes a blank; but it is dropped wherever it occurs if somewhere a blank is beside it, or if the text has a
    number with a comma.
    """
    has_number_with_comma = _COMMA_IN_NUMBER.search(text) is not None
    stripped = text
    for sign in _PUNCTUATION:
        dropped = has_number_with_comma or f"{sign} " in text or f" {sign}" in text
        stripped = stripped.replace(sign, "" if dropped else " ")
    return _PERIOD.sub("", stripped)


@lru_cache
def _contractions() -> dict[str, str]:
    text = resources.files("v2l.metrics").joinpath("contractions.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
