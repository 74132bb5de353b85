"""What captioning and VQA have in common: drawn context, random words as a floor, and answers of one sentence
(paper, Figure 5)."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2l.artifacts import read_rows
from v2l.errors import ArtifactError, DataError
from v2l.models.llm import Llm
from v2l.models.llm_decoding import Free
from v2l.models.llm_generation import Request, shared_segments
from v2l.prompts.fewshot import ANSWER_LEAD, join_words
from v2l.seeds import numpy_generator

_SENTENCE_END = re.compile(r"[.\n]")


@dataclass(frozen=True)
class Query:
    """One prompt of one condition. ``item_id``: the picture or question; its conditions have the context in common.

    name: what messages call it. context_ids: the drawn samples in prompt order.
    """

    item_id: str
    condition: str
    prompt: str
    context_ids: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Answer:
    """What became of a query: the answer's first sentence without its full stop, and the length of the prompt."""

    query: Query
    text: str
    num_prompt_tokens: int

    @property
    def prompt_columns(self) -> dict[str, Any]:
        """What a row says about its prompt."""
        prompt = self.query.prompt
        return {
            "prompt": prompt,
            "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest(),
            "num_prompt_tokens": self.num_prompt_tokens,
            "context_ids": list(self.query.context_ids),
        }


# In place of `Answer.prompt_columns` where no LLM is asked.
NO_PROMPT: dict[str, Any] = {"prompt": "", "prompt_sha256": "", "num_prompt_tokens": 0, "context_ids": []}


class Words:
    """The words of pictures as the LLM reads them, and random ones in their place."""

    def __init__(self, file: Path, num_global: int, separator: str, seed: int) -> None:
        """file: image_id and words of every picture, best first. Raises ArtifactError if it has too few words."""
        rows = read_rows(file, ["image_id", "words"])
        self._lists = {
            image_id: list(words[:num_global]) for image_id, words in zip(rows["image_id"], rows["words"], strict=True)
        }
        self._pool = sorted({word for words in self._lists.values() for word in words})
        if len(self._pool) < num_global:
            raise ArtifactError(f"{file}: expected {num_global} or more distinct words, found {len(self._pool)}")
        self._file, self._num_global, self._separator, self._seed = file, num_global, separator, seed

    def of(self, image_id: str) -> str:
        """The picture's ``num_global`` best words. Raises ArtifactError if it has fewer."""
        if image_id not in self._lists:
            raise ArtifactError(f"{self._file}: no words of picture {image_id!r}, which is used")
        words = self._lists[image_id]
        if len(words) < self._num_global:
            raise ArtifactError(
                f"{self._file}: expected {self._num_global} or more words of {image_id!r}, found {len(words)}"
            )
        return join_words(words, self._separator)

    def random(self, item_id: str) -> str:
        """``num_global`` distinct words drawn for one item: each word that is among any picture's ``num_global`` best
        is as likely as any other, whatever the item's picture shows."""
        generator = numpy_generator(self._seed, "random words", item_id)
        chosen = generator.choice(len(self._pool), self._num_global, replace=False)
        return join_words([self._pool[i] for i in chosen], self._separator)


def draw_context(candidates: Sequence[str], num_context: int, seed: int, key: str, item_id: str) -> tuple[str, ...]:
    """Ids of the in-context samples of one item, in prompt order.

    candidates: sorted, so that the draw depends on their set alone.   key: the configuration section, named in
    messages. Raises DataError if there are fewer candidates.
    """
    if len(candidates) < num_context:
        raise DataError(
            f"{key}.num_context: {num_context} samples are to be drawn from the training pictures, "
            f"which have {len(candidates)}"
        )
    chosen = numpy_generator(seed, key, "context", item_id).choice(len(candidates), num_context, replace=False)
    return tuple(candidates[i] for i in chosen)


def most_frequent(texts: Iterable[str]) -> str:
    """The text that occurs most often; of several, the first in alphabetical order."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text))


def first_sentence(text: str) -> str:
    """What stands before the first full stop or line end, without outer blanks."""
    return _SENTENCE_END.split(text, maxsplit=1)[0].strip()


def make_requests(queries: Sequence[Query], llm: Llm, max_new_tokens: int) -> list[Request]:
    """What the LLM is to compute; the conditions of an item share what their prompts begin with."""
    ids = llm.tokenize([query.prompt.removesuffix(ANSWER_LEAD) for query in queries])
    items: dict[str, list[int]] = defaultdict(list)
    for index, query in enumerate(queries):
        items[query.item_id].append(index)
    segments = {}
    for members in items.values():
        prompts = [[*llm.start_ids, *ids[index]] for index in members]
        segments.update(zip(members, shared_segments(prompts), strict=True))
    ends = frozenset(i for i, text in enumerate(llm.token_texts) if _SENTENCE_END.search(text))
    decoding = Free(max_new_tokens, stop_ids=ends)
    return [Request(segments[index], decoding, query.name) for index, query in enumerate(queries)]


def answer_queries(queries: Sequence[Query], llm: Llm, max_new_tokens: int, title: str) -> list[Answer]:
    """The greedy answer to every query, in their order. Raises ModelError if a prompt exceeds the LLM's context."""
    requests = make_requests(queries, llm, max_new_tokens)
    texts = llm.decode(llm.generate(requests, title))
    return [
        Answer(query, first_sentence(text), request.num_prompt_tokens)
        for query, request, text in zip(queries, requests, texts, strict=True)
    ]
