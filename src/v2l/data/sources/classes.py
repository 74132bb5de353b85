"""The 1000 classes of ImageNet-1K, by WordNet id."""

import csv
import re
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

WORDNET_ID = re.compile(r"n\d{8}")


class ImageNetClass(NamedTuple):
    """class_id: place of the WordNet id among the sorted 1000, the index that models are trained with."""

    class_id: int
    name: str


@lru_cache
def imagenet_classes() -> dict[str, ImageNetClass]:
    """Every class by WordNet id, sorted, from ``imagenet_classes.csv``.

    A name is the synset's first lemma, as in the challenge's own list, so that the newt of class 27 is an "eft". There
    three pairs share a name, one but for a capital letter. Here one of each is told apart by its second lemma or a
    word from its description: "crane bird" and the machine "crane", "maillot tank suit" and the tights "maillot" (both
    as in torchvision), the dog "Cardigan Welsh corgi" and the jacket "cardigan".
    """
    text = resources.files("v2l.data.sources").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["wnid"]: ImageNetClass(number, row["name"]) for number, row in enumerate(rows)}
