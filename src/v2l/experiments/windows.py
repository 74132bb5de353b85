"""Windows of a token map, in-context variants, and filling them in window by window (paper, Table 4; PROTOCOL).

A task asks for a region of the map, in windows of m tokens in raster order. For every window the LLM sees ten variants
of the picture's own tokens, in which a share is replaced by random ids, each as (degraded tokens, clean tokens), and
then the degraded tokens themselves.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from v2l.config.restore import Region, RestoreProtocol
from v2l.models.llm import Llm
from v2l.models.llm_decoding import Decoding, Free, Within
from v2l.models.llm_generation import Request
from v2l.prompts.restore import RestorationPrompt
from v2l.seeds import numpy_generator

SEQUENTIAL = ("inpainting", "outpainting")  # what is restored is seen when the next window is


@dataclass(frozen=True)
class Job:
    """A picture in a task. clean, degraded: its maps [grid * grid] int64; variants are drawn by seed, task, picture."""

    image_id: str
    task: str
    clean: np.ndarray
    degraded: np.ndarray


def window_positions(region: Region, grid: int, num_predicted: int) -> list[tuple[int, ...]]:
    """The windows of a region in raster order: each m neighbouring positions of a row."""
    rows = range(region.top, region.top + region.height)
    places = [row * grid + column for row in rows for column in range(region.left, region.left + region.width)]
    return [tuple(places[start : start + num_predicted]) for start in range(0, len(places), num_predicted)]


@dataclass(frozen=True)
class Variants:
    """The in-context variants of a job, in the order of the prompt; both [variants, grid * grid]."""

    clean: np.ndarray
    degraded: np.ndarray


def draw_variants(job: Job, config: RestoreProtocol, vocab_size: int, seed: int) -> Variants:
    """Replaces shares of the tokens by random ids: the same positions and ids in the clean and the degraded map."""
    shares = sorted(config.replaced, reverse=config.order == "most_to_least")
    clean, degraded = [], []
    for share in shares:
        generator = numpy_generator(seed, "restore", job.task, job.image_id, str(share))
        count = round(share * len(job.clean))
        places = generator.choice(len(job.clean), count, replace=False)
        ids = generator.integers(vocab_size, size=count)
        for source, maps in ((job.clean, clean), (job.degraded, degraded)):
            changed = source.copy()
            changed[places] = ids
            maps.append(changed)
    return Variants(np.stack(clean), np.stack(degraded))


def input_positions(window: Sequence[int], task: str, config: RestoreProtocol) -> range:
    """The positions that a line shows as its input, up to n before the window, as many as the map has there.

    Where a part is filled in: these alone. Otherwise: these and the window (paper), or the window alone (release).
    """
    start = max(0, window[0] - config.num_before)
    if task in SEQUENTIAL:
        return range(start, window[0])
    return range(window[0] if config.degraded_input == "release" else start, window[-1] + 1)


class Restorer:
    """Puts windows to the LLM. vocab_size: ids that the tokenizer can decode, some or all of the LLM's."""

    def __init__(self, llm: Llm, config: RestoreProtocol, grid: int, vocab_size: int, seed: int) -> None:
        self._llm, self._config, self._grid, self._vocab_size, self._seed = llm, config, grid, vocab_size, seed
        count = config.num_predicted
        self._decoding: Decoding = Free(count) if vocab_size == llm.vocab_size else Within(count, vocab_size)
        self._prompt = RestorationPrompt.make(llm, count)

    def windows(self, task: str) -> list[tuple[int, ...]]:
        """The windows of a task on this map. Raises ValueError if the protocol does not fit it."""
        return window_positions(self._config.region(task, self._grid), self._grid, self._config.num_predicted)

    def request(self, job: Job, variants: Variants, window: Sequence[int], current: np.ndarray) -> Request:
        """What the LLM is asked for one window; current: the map as it is by now [grid * grid]."""
        shown, answer = list(input_positions(window, job.task, self._config)), list(window)
        sequential = job.task in SEQUENTIAL
        before = variants.clean if sequential else variants.degraded
        examples = [
            (tuple(seen[shown].tolist()), tuple(clean[answer].tolist()))
            for seen, clean in zip(before, variants.clean, strict=True)
        ]
        segments = self._prompt.segments(examples, tuple(current[shown].tolist()))
        return Request(segments, self._decoding, f"restore: {job.task} of {job.image_id}, window at {window[0]}")

    def restore(
        self, jobs: Sequence[Job], advance: Callable[[int], None]
    ) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
        """The restored map of every job, and a row for every window. ``advance`` hears of windows.

        The k-th windows of all sequential jobs are one batch; windows of the other tasks do not see each other and are
        one batch a job.
        """
        variants = [draw_variants(job, self._config, self._vocab_size, self._seed) for job in jobs]
        windows = {task: self.windows(task) for task in {job.task for job in jobs}}
        restored = [job.degraded.copy() for job in jobs]
        rows: list[dict[str, Any]] = []

        def ask(asked: list[tuple[int, int]]) -> None:
            requests = [self.request(jobs[j], variants[j], windows[jobs[j].task][k], restored[j]) for j, k in asked]
            for (j, k), request, answer in zip(asked, requests, self._llm.answer(requests), strict=True):
                window = list(windows[jobs[j].task][k])
                restored[j][window] = answer
                rows.append(_decision(jobs[j], k, window, answer, request))
            advance(len(asked))

        sequential = [j for j, job in enumerate(jobs) if job.task in SEQUENTIAL]
        for k in range(max((len(windows[jobs[j].task]) for j in sequential), default=0)):
            ask([(j, k) for j in sequential if k < len(windows[jobs[j].task])])
        for j, job in enumerate(jobs):
            if job.task not in SEQUENTIAL:
                ask([(j, k) for k in range(len(windows[job.task]))])
        order = {(job.image_id, job.task): j for j, job in enumerate(jobs)}
        rows.sort(key=lambda row: (order[row["image_id"], row["task"]], row["window"]))
        return restored, rows


def _decision(job: Job, number: int, window: list[int], answer: Sequence[int], request: Request) -> dict[str, Any]:
    target = job.clean[window].tolist()
    prompt = np.array([i for segment in request.segments for i in segment], dtype=np.int64)
    return {
        "image_id": job.image_id,
        "task": job.task,
        "window": number,
        "positions": window,
        "prediction": list(answer),
        "target": target,
        "correct": sum(a == b for a, b in zip(answer, target, strict=True)),
        "num_prompt_tokens": len(prompt),
        "prompt_sha256": hashlib.sha256(prompt.tobytes()).hexdigest(),
    }


def filled_at_random(job: Job, places: Sequence[int], vocab_size: int, seed: int) -> np.ndarray:
    """The floor: the degraded map with uniformly random ids at these places."""
    generator = numpy_generator(seed, "restore at random", job.task, job.image_id)
    result = job.degraded.copy()
    result[places] = generator.integers(vocab_size, size=len(places))
    return result
