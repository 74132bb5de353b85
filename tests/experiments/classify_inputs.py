"""Two small episodes, with words that leave no doubt, and runs that answer them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from v2l.artifacts import write_rows
from v2l.config.fewshot import AnswerConfig, RunConfig
from v2l.config.llm import LlmConfig
from v2l.data.episodes import Episode
from v2l.experiments.classify import classify
from v2l.runtime import Runtime

WORDS = {
    "wolf/1": [" wolf", " dog", " husky"],
    "wolf/2": [" wolves", " pack", " howl"],
    "bus/1": [" bus", " van", " traffic"],
    "bus/2": [" coach", " school bus", " road"],
    "bus/new": [" bus stop", " bus", " tram"],
    "wolf/new": [" wolf", " fox", " grey wolf"],
}
SETTINGS = [
    {"induction": False, "shots": 1},
    {"shots": 1},
    {"shots": 2},
    {"shots": 1, "repeats": 1},
    {"shots": 1, "repeats": 3},
]
ANSWER = AnswerConfig(max_new_tokens=4)


def make_run(**changes) -> RunConfig:
    return RunConfig(**{"words": "order_1", "num_global": [1, 3], "settings": SETTINGS, **changes})


def make_episodes() -> list[Episode]:
    def episode(number: int, query: str, order: tuple[int, ...]) -> Episode:
        supports = ("wolf/1", "wolf/2", "bus/1", "bus/2")
        return Episode(f"2-way/{number}", 2, ("wolf", "bus"), supports, order, f"{query}/new", query)

    return [episode(0, "bus", (2, 0, 3, 1)), episode(1, "wolf", (1, 3, 0, 2))]


def each_class(episodes: Sequence[Episode]) -> list[Episode]:
    """A question about every class of each episode."""
    return [
        replace(episode, query_id=f"{name}/new", query_class=name)
        for episode in episodes
        for name in episode.class_names
    ]


def write_inputs(folder: Path, episodes: Sequence[Episode]) -> dict[str, Path]:
    """Episodes and words as their stages write them."""
    paths = {name: folder / f"{name}.parquet" for name in ("episodes", "words")}
    write_rows(paths["episodes"], [vars(episode) for episode in episodes])
    write_rows(paths["words"], [{"image_id": image, "words": words} for image, words in WORDS.items()])
    return paths


def run_stage(inputs: dict[str, Path], path: Path, run: RunConfig, llm: LlmConfig, runtime: Runtime) -> None:
    classify(**inputs, predictions=path, answer=ANSWER, run_config=run, run="tested", llm=llm, runtime=runtime)


def make_runtime(dtype: torch.dtype, batch_tokens: int) -> Runtime:
    return Runtime(torch.device("cpu"), dtype, image_batch=1, llm_batch_tokens=batch_tokens)
