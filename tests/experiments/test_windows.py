"""Windows, variants and restoring window by window, against slow loops and a stand-in for the LLM."""

from collections.abc import Sequence

import numpy as np
import pytest

from v2l.config.restore import Region, RestoreProtocol
from v2l.experiments.windows import (
    Job,
    Restorer,
    draw_variants,
    filled_at_random,
    input_positions,
    window_positions,
)
from v2l.models.llm_generation import Request
from v2l.seeds import derive_seed

GRID, VOCAB, SMALL = 6, 1_000, 400
TASKS = ["inpainting", "outpainting", "deblurring", "rotation", "shift"]


class HashLlm:
    """Answers with ids that depend on every id of the prompt; its words are letters beyond the vocabulary."""

    vocab_size = VOCAB
    start_ids = (VOCAB,)

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [[VOCAB + ord(letter) for letter in text] for text in texts]

    def tokenize_after(self, context: str, text: str) -> list[int]:  # noqa: ARG002
        return self.tokenize([text])[0]

    def answer(self, requests: Sequence[Request]) -> list[list[int]]:
        self.batches.append([request.name for request in requests])
        return [hashed([i for part in r.segments for i in part], r.decoding) for r in requests]


def hashed(prompt: list[int], decoding) -> list[int]:
    """As many ids as the rule asks for, each among those it allows."""
    answer: list[int] = []
    while (allowed := decoding.allowed(answer)) is None or len(allowed):
        count = VOCAB if allowed is None else len(allowed)
        answer.append(derive_seed(0, *prompt, *answer) % count)
    return answer


def protocol(**changes) -> RestoreProtocol:
    mask = Region(top=1, left=2, height=4, width=2)
    return RestoreProtocol(inpainting=mask, num_before=4, replaced=[0.25, 0.5, 0.4], **changes)


def make_jobs(tasks: Sequence[str] = TASKS, count: int = 3) -> list[Job]:
    generator = np.random.default_rng(0)
    maps = generator.integers(0, SMALL, (len(tasks), count, 2, GRID**2))
    return [Job(f"p{i}", task, *maps[t, i]) for t, task in enumerate(tasks) for i in range(count)]


def slow_restoration(job: Job, config: RestoreProtocol, vocab: int, decoding) -> tuple[list[int], list[list[int]]]:
    """One picture, one window at a time, with plain lists. Returns the restored map and every prompt."""
    m, n = config.num_predicted, config.num_before
    filling = job.task in ("inpainting", "outpainting")
    asked = {"inpainting": [(r, c) for r in range(1, 5) for c in (2, 3)]}
    asked["outpainting"] = [(r, c) for r in (3, 4, 5) for c in range(6)]
    places = [6 * r + c for r, c in asked.get(job.task, [(r, c) for r in range(6) for c in range(6)])]
    shares = sorted(config.replaced)
    if config.order == "most_to_least":
        shares.reverse()
    words = HashLlm().tokenize
    variants = draw_variants(job, config, vocab, seed=7)
    for share, clean in zip(shares, variants.clean, strict=True):
        assert (clean != job.clean).sum() in (round(36 * share), round(36 * share) - 1)  # an id may be drawn again
    current, prompts = job.degraded.tolist(), []
    for start in range(0, len(places), m):
        first, last = places[start], places[start + m - 1]
        if filling:
            shown = slice(max(0, first - n), first)
        else:
            shown = slice(max(0, first - n) if config.degraded_input == "paper" else first, last + 1)
        prompt = [VOCAB, *words([f"Learning a new language and predict the {m} tokens following the examples.\n"])[0]]
        for clean, degraded in zip(variants.clean.tolist(), variants.degraded.tolist(), strict=True):
            seen = clean if filling else degraded
            prompt += words(["###\nInput: < "])[0] + seen[shown]
            prompt += words([" >\nOutput: "])[0] + clean[first : last + 1] + words(["\n"])[0]
        query = (
            current if filling else job.degraded.tolist()
        )  # restored tokens are seen where a part is filled in alone
        prompt += words(["###\nInput: < "])[0] + query[shown] + words([" >\nOutput: "])[0]
        prompts.append(prompt)
        current[first : last + 1] = hashed(prompt, decoding)
    return current, prompts


@pytest.mark.parametrize("degraded_input", ["paper", "release"])
@pytest.mark.parametrize("order", ["most_to_least", "least_to_most"])
@pytest.mark.parametrize("vocab", [SMALL, VOCAB])
def test_batched_windows_equal_a_slow_loop(degraded_input: str, order: str, vocab: int):
    config = protocol(degraded_input=degraded_input, order=order)
    jobs, llm = make_jobs(), HashLlm()
    restorer = Restorer(llm, config, GRID, vocab, seed=7)
    heard: list[int] = []
    maps, rows = restorer.restore(jobs, heard.append)
    assert sum(heard) == len(rows) == 3 * (4 + 9 + 3 * 18)
    for job, restored in zip(jobs, maps, strict=True):
        decoding = restorer.request(job, draw_variants(job, config, vocab, 7), (8, 9), job.degraded).decoding
        expected, prompts = slow_restoration(job, config, vocab, decoding)
        assert restored.tolist() == expected
        mine = [row for row in rows if (row["image_id"], row["task"]) == (job.image_id, job.task)]
        assert [row["window"] for row in mine] == list(range(len(prompts)))
        assert [row["num_prompt_tokens"] for row in mine] == list(map(len, prompts))
        for row in mine:
            assert row["prediction"] == restored[row["positions"]].tolist()
            assert row["target"] == job.clean[row["positions"]].tolist()
            assert row["correct"] == sum(np.equal(row["prediction"], row["target"]))
            assert all(0 <= i < vocab for i in row["prediction"])


def test_windows_of_one_step_are_one_batch():
    llm = HashLlm()
    Restorer(llm, protocol(), GRID, VOCAB, seed=0).restore(make_jobs(), lambda _: None)
    sizes = [len(batch) for batch in llm.batches]
    # Four steps with three pictures of both tasks, five more of outpainting alone; then the other jobs, all windows.
    assert sizes == [6] * 4 + [3] * 5 + [18] * 9
    assert llm.batches[5] == [f"restore: outpainting of p{i}, window at 28" for i in range(3)]


def test_pictures_do_not_depend_on_each_other():
    jobs = make_jobs()
    restorer = Restorer(HashLlm(), protocol(), GRID, SMALL, seed=0)
    together, rows = restorer.restore(jobs, lambda _: None)
    turned, turned_rows = restorer.restore(jobs[::-1], lambda _: None)
    assert all((a == b).all() for a, b in zip(together, turned[::-1], strict=True))
    key = ("image_id", "task", "window")
    by_key = [{tuple(row[k] for k in key): row["prompt_sha256"] for row in each} for each in (rows, turned_rows)]
    assert by_key[0] == by_key[1]
    (alone,), _ = restorer.restore(jobs[4:5], lambda _: None)
    assert (alone == together[4]).all()


def test_a_region_is_cut_into_windows_in_raster_order():
    region = Region(top=1, left=2, height=2, width=4)
    assert window_positions(region, 6, 2) == [(8, 9), (10, 11), (14, 15), (16, 17)]
    assert window_positions(region, 6, 4) == [(8, 9, 10, 11), (14, 15, 16, 17)]


@pytest.mark.parametrize(
    ("task", "degraded_input", "window", "expected"),
    [
        ("inpainting", "paper", (8, 9), range(4, 8)),
        ("outpainting", "release", (18, 19), range(14, 18)),
        ("inpainting", "paper", (2, 3), range(2)),
        ("outpainting", "paper", (0, 1), range(0)),
        ("rotation", "paper", (8, 9), range(4, 10)),
        ("deblurring", "paper", (2, 3), range(4)),
        ("shift", "paper", (0, 1), range(2)),
        ("shift", "release", (8, 9), range(8, 10)),
    ],
)
def test_a_line_shows_what_lies_before_the_window_or_in_it(
    task: str, degraded_input: str, window: tuple[int, ...], expected: range
):
    config = protocol(degraded_input=degraded_input)
    assert input_positions(window, task, config) == expected


def test_variants_replace_the_same_places_by_the_same_ids_in_both_maps():
    job = Job("p", "rotation", np.full(100, -1), np.full(100, -2))
    variants = draw_variants(job, RestoreProtocol(), VOCAB, seed=0)
    shares = [0.50, 0.47, 0.44, 0.41, 0.38, 0.35, 0.32, 0.29, 0.26, 0.23]
    for share, clean, degraded in zip(shares, variants.clean, variants.degraded, strict=True):
        replaced = clean >= 0
        assert replaced.sum() == round(100 * share)
        assert (clean[replaced] == degraded[replaced]).all()
        assert (clean[replaced] < VOCAB).all()
        assert (degraded[~replaced] == -2).all()
    reversed_ = draw_variants(job, RestoreProtocol(order="least_to_most"), VOCAB, seed=0)
    assert (reversed_.clean == variants.clean[::-1]).all()


def test_variants_are_drawn_by_seed_task_and_picture():
    def draw(image_id: str, task: str, seed: int) -> bytes:
        job = Job(image_id, task, np.full(100, -1), np.full(100, -2))
        return draw_variants(job, RestoreProtocol(), VOCAB, seed).clean.tobytes()

    first = draw("p", "shift", 0)
    assert draw("p", "shift", 0) == first
    assert len({first, draw("q", "shift", 0), draw("p", "rotation", 0), draw("p", "shift", 1)}) == 4


def test_random_ids_are_uniform_and_fill_the_predicted_places_alone():
    (job,) = make_jobs(["inpainting"], 1)
    places = list(range(10, 20))
    filled = filled_at_random(job, places, 5, seed=0)
    others = np.delete(np.arange(GRID**2), places)
    assert (filled[others] == job.degraded[others]).all()
    drawn = np.concatenate([filled_at_random(job, places, 5, seed)[places] for seed in range(200)])
    counts = np.bincount(drawn, minlength=5)
    # 2,000 draws of 5: 400 of each, five standard deviations are 90.
    assert len(counts) == 5
    assert (abs(counts - 400) < 90).all()
