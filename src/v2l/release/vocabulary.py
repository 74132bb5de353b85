"""The released vocabularies and their embeddings, and what they say of the n-gram candidates.

The local vocabulary has a text for every token id. Three candidates grow from each: the token, a bigram, a trigram;
their list and embeddings need not have been released. The global vocabulary is what the filter kept of them.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from v2l.errors import ArtifactError
from v2l.release.readers import read_object_array, read_tensor

ORDERS = (1, 2, 3)
UNKNOWN = -1


@dataclass(frozen=True)
class Vocabulary:
    """texts: N.   vectors: [N, d] float32, one a text.   origin: the file of the vectors, for messages."""

    texts: list[str]
    vectors: np.ndarray
    origin: Path


@dataclass(frozen=True)
class Candidates:
    """The 3|T| candidates: those of order 1 by token id, then those of order 2, then 3.

    texts: None where it is not known.   rows: [3|T|] int64, the row of ``vectors``; -1 where it is not known.
    """

    texts: list[str | None]
    rows: np.ndarray
    vectors: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """[3|T|] int64."""
        return np.repeat(ORDERS, len(self.texts) // len(ORDERS))


def read_vocabulary(texts: Path, vectors: Path) -> Vocabulary:
    """Raises ArtifactError if either is unreadable or refused, or they are not one row a text."""
    spelt = _read_texts(texts)
    return Vocabulary(spelt, _read_vectors(vectors, len(spelt), texts), vectors)


def read_candidates(texts: Path, vectors: Path, local: Vocabulary) -> Candidates:
    """All candidates, from dictionaries of a token's text and those of its two successors.

    Raises ArtifactError, also if the tokens are not those of the local vocabulary.
    """
    cells = read_object_array(texts)
    if len(cells) != len(local.texts):
        raise ArtifactError(f"{texts}: expected {len(local.texts)} items, one a local token, found {len(cells)}")
    for place, (cell, token) in enumerate(zip(cells, local.texts, strict=True)):
        if not isinstance(cell, dict) or not all(isinstance(cell.get(str(order)), str) for order in ORDERS):
            raise ArtifactError(f"{texts}: item {place}: expected texts 1, 2 and 3, found {str(cell)[:60]!r}")
        if _key(cell["1"]) != _key(token):
            raise ArtifactError(f"{texts}: item {place}: expected {token!r}, the local token, found {cell['1']!r}")
    spelt = [_spell(cell, order) for order in ORDERS for cell in cells]
    found = _read_vectors(vectors, len(spelt), texts)
    check_equal(vectors, found[: len(cells)], local.vectors, str(local.origin))
    return Candidates(spelt, np.arange(len(spelt)), found)


def gather_candidates(local: Vocabulary, kept: Vocabulary) -> Candidates:
    """What is known without a list of all candidates: the tokens, and the n-grams that the filter kept.

    N-grams stand in the places of their order from the first on, as it is not known which token they grew from; other
    places are unknown. Their order is the fewest tokens that spell them, so at most the true one.
    """
    total = len(local.texts)
    texts: list[str | None] = [*local.texts, *[None] * (2 * total)]
    rows = np.concatenate([np.arange(total), np.full(2 * total, UNKNOWN)])
    tokens = Candidates(texts, rows, local.vectors)
    spellings, following = {text.replace("\0", "") for text in local.texts}, {2: total, 3: 2 * total}
    ngrams = np.flatnonzero(match(kept, tokens) == UNKNOWN)
    for place, row in enumerate(ngrams):
        order = max(2, fewest_tokens(kept.texts[row].replace("\0", ""), spellings))
        if following[order] == order * total:
            raise ArtifactError(f"{kept.origin}: expected at most {total} n-grams of order {order}, one a local token")
        texts[following[order]], rows[following[order]] = kept.texts[row], total + place
        following[order] += 1
    return Candidates(texts, rows, np.concatenate([local.vectors, kept.vectors[ngrams]]))


def match(wanted: Vocabulary, candidates: Candidates) -> np.ndarray:
    """[G] int64: of every row the first candidate of that text and embedding that no earlier row has; else -1."""
    places = defaultdict(list)
    known = np.flatnonzero(candidates.rows != UNKNOWN)
    for number, vector in zip(known, _half(candidates.vectors[candidates.rows[known]]), strict=True):
        places[_key(candidates.texts[number]), vector.tobytes()].append(number)
    found = np.full(len(wanted.texts), UNKNOWN)
    for row, vector in enumerate(_half(wanted.vectors)):
        if free := places[_key(wanted.texts[row]), vector.tobytes()]:
            found[row] = free.pop(0)
    return found


def fewest_tokens(text: str, tokens: Collection[str]) -> int:
    """1 or 2 if so many of the tokens' texts spell it, else 3."""
    if text in tokens:
        return 1
    return 2 if any(text[:cut] in tokens and text[cut:] in tokens for cut in range(len(text) + 1)) else 3


def distinct_vectors(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Identical rows once, in order of first appearance [U, d], and the place of every row among them [N] int64."""
    keys = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors[:1].nbytes))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return vectors[first[order]], np.argsort(order)[inverse]


def check_equal(origin: Path, found: np.ndarray, expected: np.ndarray, source: str) -> None:
    """Raises ArtifactError unless both are the same [N, d] matrix in half precision."""
    if found.shape != expected.shape:
        wanted = f"{list(expected.shape)} as in {source}"
        raise ArtifactError(f"{origin}: expected shape {wanted}, found {list(found.shape)}")
    if not (same := (_half(found) == _half(expected)).all(axis=1)).all():
        raise ArtifactError(f"{origin}: row {int(same.argmin())}: expected that of {source}, found another")


def _read_texts(path: Path) -> list[str]:
    items = read_object_array(path)
    if not items:
        raise ArtifactError(f"{path}: expected one text or more, found none")
    for place, item in enumerate(items):
        if not isinstance(item, str):
            raise ArtifactError(f"{path}: item {place}: expected a text, found {type(item).__name__}")
    return list(map(str, items))


def _read_vectors(path: Path, num_texts: int, texts: Path) -> np.ndarray:
    vectors = read_tensor(path).numpy()
    if len(vectors) != num_texts:
        raise ArtifactError(f"{path}: expected {num_texts} rows, one a text of {texts}, found {len(vectors)}")
    if not (finite := np.isfinite(vectors).all(axis=1)).all():
        raise ArtifactError(f"{path}: row {int(finite.argmin())}: expected finite numbers")
    return vectors


def _spell(cell: dict[str, str], order: int) -> str:
    return "".join(str(cell[str(place)]) for place in ORDERS[:order])


def _half(vectors: np.ndarray) -> np.ndarray:
    """In the precision that all files have at least: one may hold a vector in half precision, another in single."""
    with np.errstate(over="ignore"):
        return vectors.astype(np.float16)


def _key(text: str | None) -> str:
    """Without blanks around it, and without NULs at its end, which NumPy does not store."""
    return (text or "").rstrip("\0").strip()
