"""Few-shot episodes as they are stored, and which of them a run answers.

All settings of Table 1 answer the same episodes: they share classes, queries and, as far as they use them, support
pictures, so that a difference between two settings is a paired one. An episode is classes with their support; where it
asks for more than one query, there is a row for each, and the queries are not independent of each other.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from v2l.artifacts import read_rows
from v2l.config.fewshot import RunConfig
from v2l.errors import ArtifactError, DataError

COLUMNS = ("episode_id", "ways", "class_names", "support_ids", "support_order", "query_id", "query_class")


@dataclass(frozen=True)
class Episode:
    """One N-way question: ``ways`` classes with ``max_shots`` support pictures each, and one query picture.

    episode_id: shared by the questions that have classes and support in common.
    support_ids: class after class, so shot j of class c is at ``c * max_shots + j``.
    support_order: a permutation of ``range(ways * max_shots)``, the order of the support pictures in the prompt.
    """

    episode_id: str
    ways: int
    class_names: tuple[str, ...]
    support_ids: tuple[str, ...]
    support_order: tuple[int, ...]
    query_id: str
    query_class: str

    @property
    def max_shots(self) -> int:
        return len(self.support_ids) // self.ways

    def supports(self, shots: int) -> list[tuple[str, str]]:
        """The K-shot support as (image_id, class_name) in prompt order; fewer shots use a part of the same pictures.

        Raises DataError if the episode was drawn for fewer shots.
        """
        if shots > self.max_shots:
            raise DataError(
                f"fewshot.runs: {shots} shots asked for, but episode {self.episode_id} was drawn with "
                f"{self.max_shots}; draw the episodes again"
            )
        return [
            (self.support_ids[place], self.class_names[place // self.max_shots])
            for place in self.support_order
            if place % self.max_shots < shots
        ]


def chosen_episodes(episodes: Sequence[Episode], run: RunConfig) -> list[Episode]:
    """The episodes that a run answers: the first ``per_way`` of each of its numbers of ways, of each number of shots
    where they are listed by it.

    Raises DataError if there is none of one of them.
    """
    by_ways: dict[int, dict[int, dict[str, list[Episode]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for episode in episodes:
        by_ways[episode.ways][episode.max_shots][episode.episode_id].append(episode)
    if absent := set(run.ways or ()) - by_ways.keys():
        raise DataError(f"fewshot.runs: no episode has {min(absent)} ways; there are {sorted(by_ways)}")
    return [
        question
        for ways in sorted(run.ways or by_ways)
        for listed in by_ways[ways].values()
        for questions in list(listed.values())[: run.per_way]
        for question in questions
    ]


def episodes_by_shots(episodes: Sequence[Episode], shots: int) -> list[Episode]:
    """The episodes that a K-shot setting answers: those listed for K shots, as the release has them, or of each number
    of ways those with the most."""
    listed: dict[int, set[int]] = defaultdict(set)
    for episode in episodes:
        listed[episode.ways].add(episode.max_shots)
    of_ways = {ways: shots if shots in numbers else max(numbers) for ways, numbers in listed.items()}
    return [episode for episode in episodes if episode.max_shots == of_ways[episode.ways]]


def used_pictures(episodes: Iterable[Episode], max_shots: int) -> set[str]:
    """Ids of the pictures that settings of at most so many shots show."""
    supports = (image_id for episode in episodes for image_id, _ in episode.supports(min(max_shots, episode.max_shots)))
    return {*supports, *(episode.query_id for episode in episodes)}


def read_episodes(path: Path) -> list[Episode]:
    """Reads stored episodes. Raises ArtifactError if a row contradicts itself, or two rows of one episode do."""
    read = [
        Episode(
            episode_id=row.episode_id,
            ways=int(row.ways),
            class_names=tuple(row.class_names),
            support_ids=tuple(row.support_ids),
            support_order=tuple(int(place) for place in row.support_order),
            query_id=row.query_id,
            query_class=row.query_class,
        )
        for row in read_rows(path, COLUMNS).itertuples()
    ]
    first: dict[str, Episode] = {}
    asked: set[tuple[str, str]] = set()
    for episode in read:
        other = first.setdefault(episode.episode_id, episode)
        whole = (
            len(episode.class_names) == episode.ways
            and episode.query_class in episode.class_names
            and len(episode.support_ids) == episode.ways * episode.max_shots > 0
            and sorted(episode.support_order) == list(range(len(episode.support_ids)))
            and replace(other, query_id=episode.query_id, query_class=episode.query_class) == episode
            and (episode.episode_id, episode.query_id) not in asked
        )
        asked.add((episode.episode_id, episode.query_id))
        if not whole:
            raise ArtifactError(
                f"{path}: episode {episode.episode_id}: classes, supports and queries do not fit together"
            )
    return read
