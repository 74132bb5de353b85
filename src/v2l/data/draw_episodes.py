"""Stage ``episodes``: draws the few-shot episodes of Table 1, or takes those that the release lists."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from v2l.artifacts import write_rows
from v2l.config.data import EpisodesConfig
from v2l.data.episodes import COLUMNS
from v2l.data.manifest import FEWSHOT, heldout_rows, read_manifest, training_rows
from v2l.data.release_episodes import read_release_episodes
from v2l.errors import DataError
from v2l.seeds import numpy_generator

logger = logging.getLogger(__name__)


def episodes(manifest: Path, episodes: Path, config: EpisodesConfig, seed: int) -> None:
    """Writes the episodes of every number of ways. Raises DataError if too few classes qualify."""
    frame = read_manifest(manifest)
    listed = draw_all(frame, config, seed) if config.release is None else read_listed(frame, config.release)
    write_rows(episodes, listed)
    logger.info("%d questions of %d episodes", len(listed), listed["episode_id"].nunique())


def read_listed(manifest: pd.DataFrame, files: Sequence[Path]) -> pd.DataFrame:
    """The episodes of the release's files, in their order.

    Its paths are class and file name, ``n01532829/n0153282900000005.jpg``, however the pictures lie here.
    Raises DataError.
    """
    pictures = pd.concat([rows(manifest, FEWSHOT) for rows in (training_rows, heldout_rows)])
    named = pictures["subgroup"] + "/" + pictures["path"].str.rsplit("/", n=1).str[-1]
    image_ids = dict(zip(named, pictures["image_id"], strict=True))
    class_names = dict(zip(pictures["subgroup"], pictures["class_name"], strict=True))
    listed = pd.concat([read_release_episodes(file, image_ids.keys(), class_names) for file in files])
    return listed.assign(
        support_ids=[[image_ids[path] for path in paths] for paths in listed["support_ids"]],
        query_id=listed["query_id"].map(image_ids),
    )


def draw_all(manifest: pd.DataFrame, config: EpisodesConfig, seed: int) -> pd.DataFrame:
    """One row a query. An episode depends on seed, ways and its number alone, never on the others."""
    train, heldout = (
        {name: sorted(ids) for name, ids in rows(manifest, FEWSHOT).groupby("class_name")["image_id"]}
        for rows in (training_rows, heldout_rows)
    )
    supports, needed = (train, config.shots) if config.support_split == "train" else (heldout, config.shots + 1)
    names = [
        name
        for name in sorted(supports.keys() & heldout.keys())
        if len(supports[name]) >= needed and not (config.single_word_names and " " in name)
    ]
    if len(names) < max(config.ways):
        wanted = f"{needed} training pictures, a held-out one" if supports is train else f"{needed} held-out pictures"
        naming = " and a one-word name" if config.single_word_names else ""
        raise DataError(
            f"episodes.ways: {max(config.ways)}-way needs {max(config.ways)} classes, but {len(names)} have "
            f"{wanted}{naming}"
        )
    return pd.DataFrame(
        [
            row
            for ways, count in config.ways.items()
            for number in range(count)
            for row in draw(names, supports, heldout, ways, config, seed, number)
        ],
        columns=COLUMNS,
    )


def draw(
    names: list[str],
    supports: dict[str, list[str]],
    heldout: dict[str, list[str]],
    ways: int,
    config: EpisodesConfig,
    seed: int,
    number: int,
) -> list[dict[str, Any]]:
    """The questions of one episode: queries from the held-out pictures that are not its support.

    names: classes to draw from. supports, heldout: the image_ids of each class.
    """
    shots = config.shots
    generator = numpy_generator(seed, "episode", ways, number)
    classes = [names[i] for i in generator.choice(len(names), ways, replace=False)]
    shown = [supports[name][i] for name in classes for i in generator.choice(len(supports[name]), shots, replace=False)]
    asked = [classes[generator.integers(ways)]] if config.queries == "one" else classes
    episode = {
        "episode_id": f"{ways}-way/{number:04d}",
        "ways": ways,
        "class_names": classes,
        "support_ids": shown,
        "support_order": _support_order(ways, config, generator),
    }
    rest = {name: [image_id for image_id in heldout[name] if image_id not in shown] for name in asked}
    return [
        {**episode, "query_id": rest[name][generator.integers(len(rest[name]))], "query_class": name} for name in asked
    ]


def _support_order(ways: int, config: EpisodesConfig, generator: np.random.Generator) -> list[int]:
    """Places of the support pictures (shot j of class c is at c * shots + j) in the order of the prompt."""
    if config.order == "shuffled":
        return generator.permutation(ways * config.shots).tolist()
    return [int(c) * config.shots + shot for shot in range(config.shots) for c in generator.permutation(ways)]
