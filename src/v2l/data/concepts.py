"""Which concepts the emoji set has, who drew them, and what they are called.

Iconify gives one concept the same name in every icon set, so a concept is a class with a picture by each artist.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from v2l.config.data import EmojiConfig
from v2l.errors import ConfigError, DataError

# Sets by the same artists, in a later or a flat version: a family is on one side of the split as a whole.
FAMILIES = {
    "noto": "noto",
    "noto-v1": "noto",
    "fluent-emoji": "fluent",
    "fluent-emoji-flat": "fluent",
    "emojione": "emojione",
    "emojione-v1": "emojione",
    "twemoji": "twemoji",
    "openmoji": "openmoji",
    "fxemoji": "fxemoji",
}
# Flags, clock faces and moon phases differ by a detail that a small picture hardly shows.
EXCLUDED = re.compile(r"flag|oclock|thirty|moon")


@dataclass(frozen=True)
class Concept:
    """A class of the emoji set. ``label`` is the CLDR name; ``tags`` are CLDR's further words for it."""

    name: str
    label: str
    tags: tuple[str, ...]
    group: str
    subgroup: str


def check_choices(config: EmojiConfig, categories: Mapping[str, Sequence[str]]) -> None:
    """Raises ConfigError if a set, category or family of the configuration does not exist."""
    families = sorted({FAMILIES[name] for name in config.sets if name in FAMILIES})
    for key, values, allowed in (
        ("data.sets", config.sets, list(FAMILIES)),
        ("data.categories", config.categories, list(categories)),
        ("data.heldout_family", [config.heldout_family], families),
    ):
        for value in values:
            if value not in allowed:
                raise ConfigError(f"{key}: {value!r} is unknown; allowed here: {', '.join(allowed)}")
        if len(set(values)) < len(values):
            raise ConfigError(f"{key}: a name is listed twice, found {', '.join(values)}")


def choose_names(
    icon_sets: Mapping[str, Mapping[str, Any]], categories: Mapping[str, Sequence[str]], config: EmojiConfig
) -> list[str]:
    """Names of the kept concepts, sorted: in a kept category, in at least ``min_sets`` sets, and not excluded.

    ``max_classes`` keeps so many of them, evenly spaced. Raises DataError if none is left.
    """
    names = sorted({name for category in config.categories for name in categories[category]})
    kept = [
        name
        for name in names
        if not EXCLUDED.search(name)
        and sum(name in content["icons"] for content in icon_sets.values()) >= config.min_sets
    ]
    if not kept:
        raise DataError(f"data.min_sets: no concept is in {config.min_sets} of the {len(icon_sets)} icon sets")
    count = min(config.max_classes or len(kept), len(kept))
    return [kept[i * len(kept) // count] for i in range(count)]


def slug(label: str) -> str:
    """The icon name of a CLDR label, e.g. ``T-shirt`` -> ``t-shirt``; apostrophes vanish."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain.replace("'", "")).strip("-")


def describe(
    names: Sequence[str], emojibase: Sequence[Mapping[str, Any]], messages: Mapping[str, Any]
) -> list[Concept]:
    """Adds label, tags, group and subgroup; a name that CLDR does not know is its own label.

    emojibase, messages: the content of emojibase's ``data.json`` and ``messages.json``.
    """
    known = {slug(entry["label"]): entry for entry in emojibase}
    # Numbers of groups are the messages' ``order``; a retired subgroup shares its number with the later one that
    # took its place, so the later one must win.
    groups = {message["order"]: message["message"] for message in messages["groups"]}
    subgroups = {message["order"]: message["message"] for message in messages["subgroups"]}
    concepts = []
    for name in names:
        entry = known.get(name, {"label": name.replace("-", " ")})
        concepts.append(
            Concept(
                name=name,
                label=entry["label"].replace("\u2019", "'"),  # the apostrophe that people type
                tags=tuple(entry.get("tags", ())),
                group=groups.get(entry.get("group"), ""),
                subgroup=subgroups.get(entry.get("subgroup"), ""),
            )
        )
    return concepts
