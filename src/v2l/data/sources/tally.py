"""Counts of what was read from one source, for the report."""

from collections import Counter, defaultdict
from typing import Any

from v2l.data.sources.decoding import Seen
from v2l.data.sources.listing import NO_CLASS, Picture


class Tally:
    """Counts readable pictures one by one, so that none has to be kept."""

    def __init__(self) -> None:
        self._groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._splits: dict[str, str] = {}
        self._modes: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()
        self._num_rotated = 0
        self._num_captions = 0

    def add(self, picture: Picture, seen: Seen) -> None:
        self._splits[picture.group] = picture.split
        self._groups[picture.group][picture.class_name if picture.class_id != NO_CLASS else ""] += 1
        self._modes[seen.mode] += 1
        self._formats[seen.format] += 1
        self._num_rotated += seen.rotated
        self._num_captions += len(picture.captions)

    def record(self) -> dict[str, Any]:
        """By the owners' split: number of pictures, classes with their numbers, and which split of the manifest it is.

        formats: by content, in Pillow's words. All files are named as JPEG. MPO is a JPEG that holds several pictures,
        as some cameras write it; any other format is a file with the wrong name.
        """
        return {
            "num_pictures": sum(self._modes.values()),
            "num_captions": self._num_captions,
            "num_exif_rotated": self._num_rotated,
            "modes": dict(self._modes),
            "formats": dict(self._formats),
            "splits": {
                group: {
                    "split": self._splits[group],
                    "num_pictures": classes.total(),
                    "classes": {name: number for name, number in classes.items() if name},
                }
                for group, classes in self._groups.items()
            },
        }
