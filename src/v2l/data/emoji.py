"""Stage ``emoji``: renders the emoji set, the default's stand-in for ImageNet, and writes its manifest.

Split by artist family, so that no artist is on both sides: the held-out pictures show known concepts in an unknown
style. Sources, versions and licences: docs/data.md.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.artifacts import read_json, write_json, write_rows
from v2l.config.data import EmojiConfig
from v2l.data.concepts import FAMILIES, Concept, check_choices, choose_names, describe
from v2l.data.manifest import COLUMNS, HELDOUT, TRAIN, check_unreadable
from v2l.data.svg import icon_svg, render_or_reason
from v2l.data.workers import end_with_parent
from v2l.errors import DataError
from v2l.progress import track

logger = logging.getLogger(__name__)

# The manifest stores paths relative to its own folder, so the name is fixed, whatever temporary name is written to.
PICTURES_FOLDER = "pictures"
NUM_WORKERS = 2
PICTURES_PER_TASK = 32


@dataclass(frozen=True)
class Drawing:
    """One artist's picture of one concept, not yet rendered."""

    concept: Concept
    class_id: int
    source: str
    svg: str

    @property
    def image_id(self) -> str:
        return f"{self.source}/{self.concept.name}"


def emoji(icons: Path, data: EmojiConfig, pictures: Path, manifest: Path, report: Path) -> None:
    """Writes PNG files, the manifest that lists them and a report of counts and of pictures that failed.

    icons: the manifest of the fetched icon sets; its siblings are read.
    Raises ConfigError for an unknown set, category or family, and DataError if more than ``max_unreadable`` pictures
    cannot be rendered.
    """
    if pictures.parent != manifest.parent or not pictures.name.endswith(PICTURES_FOLDER):
        raise DataError(f"{manifest}: expected the pictures beside it in a folder {PICTURES_FOLDER}, found {pictures}")
    drawings = read_drawings(icons.parent, data)
    rows, unreadable = [], []
    for drawing, picture in track(_render_all(drawings), "rendering", len(drawings), "pictures"):
        if isinstance(picture, str):
            unreadable.append({"image_id": drawing.image_id, "reason": picture})
            continue
        path = pictures / f"{drawing.image_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
        rows.append(manifest_row(drawing, picture, data.heldout_family))
    check_unreadable(unreadable, len(drawings), data.max_unreadable)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    write_rows(manifest, frame)
    write_json(report, {**count(frame), "unreadable": unreadable})
    logger.info("%d pictures of %d concepts, %d unreadable", len(frame), frame["class_id"].nunique(), len(unreadable))


def read_drawings(folder: Path, config: EmojiConfig) -> list[Drawing]:
    """The drawings of the kept concepts, by concept in sorted order, then by set as configured."""
    categories = read_json(folder / "noto.metadata.json")["categories"]
    check_choices(config, categories)
    icon_sets = {name: read_json(folder / f"{name}.json") for name in config.sets}
    names = choose_names(icon_sets, categories, config)
    emojibase, messages = (read_json(folder / f"emojibase.{name}.json") for name in ("data", "messages"))
    return [
        Drawing(concept, class_id, source, icon_svg(icon_sets[source], concept.name, config.image_size_px))
        for class_id, concept in enumerate(describe(names, emojibase, messages))
        for source in config.sets
        if concept.name in icon_sets[source]["icons"]
    ]


def _render_all(drawings: Sequence[Drawing]) -> Iterator[tuple[Drawing, bytes | str]]:
    """Each drawing with its PNG bytes or the reason why there are none, in order."""
    # Spawned, not forked: a fork copies locks that other threads of this process hold.
    with ProcessPoolExecutor(NUM_WORKERS, get_context("spawn"), initializer=end_with_parent) as workers:
        svgs = (drawing.svg for drawing in drawings)
        yield from zip(drawings, workers.map(render_or_reason, svgs, chunksize=PICTURES_PER_TASK), strict=True)


def manifest_row(drawing: Drawing, picture: bytes, heldout_family: str) -> dict[str, Any]:
    """The manifest's row of one rendered picture."""
    concept, family = drawing.concept, FAMILIES[drawing.source]
    return {
        "image_id": drawing.image_id,
        "path": f"{PICTURES_FOLDER}/{drawing.image_id}.png",
        "split": HELDOUT if family == heldout_family else TRAIN,
        "class_id": drawing.class_id,
        "class_name": concept.label,
        "captions": list(dict.fromkeys((concept.label, *concept.tags))),
        "source": drawing.source,
        "family": family,
        "group": concept.group,
        "subgroup": concept.subgroup,
        "sha256": hashlib.sha256(picture).hexdigest(),
    }


def count(manifest: pd.DataFrame) -> dict[str, Any]:
    """Numbers of pictures and classes, whole and by split, set and family."""
    return {
        "num_pictures": len(manifest),
        "num_classes": manifest["class_id"].nunique(),
        "pictures": {key: dict(sorted(Counter(manifest[key]).items())) for key in ("split", "source", "family")},
        "classes": {split: rows["class_id"].nunique() for split, rows in manifest.groupby("split")},
    }
