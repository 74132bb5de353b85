"""Stage ``pictures``: the manifest of the paper's data sets. Pictures stay where they are; each is decoded once.

Sources are listed first, so that a wrong folder or count stops the stage before the long part.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from v2l.artifacts import write_json, write_rows
from v2l.config.sources import AnySourceConfig, SourcesConfig
from v2l.data.manifest import COLUMNS, check_unreadable
from v2l.data.questions import COLUMNS as QUESTION_COLUMNS
from v2l.data.sources.coco import list_coco
from v2l.data.sources.decoding import Seen, look, start_worker
from v2l.data.sources.imagenet import list_imagenet
from v2l.data.sources.listing import NO_CLASS, Listing, Picture
from v2l.data.sources.mini_imagenet import list_mini_imagenet
from v2l.data.sources.tally import Tally
from v2l.data.sources.vqa_v2 import list_vqa_v2
from v2l.errors import DataError
from v2l.progress import track

LISTERS = {"imagenet": list_imagenet, "mini_imagenet": list_mini_imagenet, "coco": list_coco, "vqa_v2": list_vqa_v2}
PICTURES_PER_TASK = 32

logger = logging.getLogger(__name__)


def pictures(manifest: Path, report: Path, questions: Path, config: SourcesConfig) -> None:
    """Writes the manifest, a report of counts and unreadable pictures, and VQA v2's questions.

    Questions about an unreadable picture are left out with it.
    Raises DataError if a source is not what it should be, two pictures have one image_id, or more than
    ``max_unreadable`` pictures cannot be read.
    """
    listings = [_list(source) for source in config.sources]
    _check_ids(listings)
    listings = _share(listings)
    rows, counts, unreadable = [], [], []
    for source, listing in zip(config.sources, listings, strict=True):
        tally = Tally()
        for picture, seen in _look_at_all(listing.pictures, source.kind):
            if isinstance(seen, str):
                logger.warning("%s: not a readable picture (%s)", picture.path, seen)
                unreadable.append({"image_id": picture.image_id, "path": picture.path, "reason": seen})
            else:
                rows.append((*picture, seen.sha256))
                tally.add(picture, seen)
        passed_over = {"num_ignored": listing.num_ignored, "num_shared": listing.num_shared}
        counts.append({"kind": source.kind, "root": str(source.root), **passed_over, **tally.record()})
    check_unreadable(unreadable, len(rows) + len(unreadable), config.max_unreadable)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    write_rows(manifest, frame)
    asked = _readable_questions(listings, {entry["image_id"] for entry in unreadable})
    write_rows(questions, asked)
    num_classes = frame.loc[frame["class_id"] != NO_CLASS, "class_name"].nunique()
    totals = {"num_pictures": len(frame), "num_classes": num_classes, "num_questions": len(asked)}
    write_json(report, {**totals, "sources": counts, "unreadable": unreadable})
    logger.info("%d pictures, %d questions, %d unreadable", len(rows), len(asked), len(unreadable))


def _list(source: AnySourceConfig) -> Listing:
    try:
        listing = LISTERS[source.kind](source)
    except OSError as error:  # even asking whether there is a file fails in a folder that may not be entered
        raise DataError(
            f"{error.filename or source.root}: cannot be read ({error.strerror}); expected the files of the source "
            f"{source.kind} in {source.root}"
        ) from None
    logger.info("%s: %d pictures of %s", source.root, len(listing.pictures), source.kind)
    return listing


def _check_ids(listings: Iterable[Listing]) -> None:
    first: dict[str, str] = {}
    for listing in listings:
        for picture in listing.pictures:
            if (other := first.setdefault(picture.image_id, picture.path)) is not picture.path:
                raise DataError(f"{picture.path}: its image_id {picture.image_id} is that of {other} too")


def _share(listings: Sequence[Listing]) -> list[Listing]:
    """The same, but a file has one row: where another source lists a picture that is asked about, the questions are
    about that source's."""
    asked = {picture.path for listing in listings if listing.questions is not None for picture in listing.pictures}
    others = (listing.pictures for listing in listings if listing.questions is None)
    listed = {picture.path: picture.image_id for pictures in others for picture in pictures if picture.path in asked}

    def shared(listing: Listing) -> Listing:
        if listing.questions is None:
            return listing
        theirs = {each.image_id: listed[each.path] for each in listing.pictures if each.path in listed}
        own = [picture for picture in listing.pictures if picture.image_id not in theirs]
        names = [theirs.get(name, name) for name in listing.questions["image_id"]]
        return replace(
            listing, pictures=own, questions=listing.questions.assign(image_id=names), num_shared=len(theirs)
        )

    return [shared(listing) for listing in listings]


def _look_at_all(pictures: Sequence[Picture], kind: str) -> Iterator[tuple[Picture, Seen | str]]:
    """Each picture with what it is or why it cannot be read, in order."""
    # Spawned, not forked: a fork copies locks that other threads of this process hold.
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn"), initializer=start_worker) as workers:
        paths = (picture.path for picture in pictures)
        looks = zip(pictures, workers.map(look, paths, chunksize=PICTURES_PER_TASK), strict=True)
        yield from track(looks, f"reading {kind}", len(pictures), "pictures")


def _readable_questions(listings: Iterable[Listing], unreadable: set[str]) -> pd.DataFrame:
    tables = [listing.questions for listing in listings if listing.questions is not None]
    asked = pd.concat([pd.DataFrame(columns=QUESTION_COLUMNS), *tables], ignore_index=True)
    return asked[~asked["image_id"].isin(unreadable)].reset_index(drop=True)
