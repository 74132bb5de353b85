"""Sections of the data room: the picture set and the few-shot episodes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from v2l.config.base import NonNegativeInt, PositiveInt, Section


class EmojiConfig(Section):
    """The emoji set: one concept drawn by several artists, split by artist family (docs/data.md)."""

    kind: Literal["emoji"]
    sets: list[str] = Field(description="icon sets to draw from; names as in the assets file")
    categories: list[str] = Field(description="categories of the reference set that are kept")
    min_sets: PositiveInt = Field(5, description="a concept is kept if at least so many sets draw it")
    heldout_family: str = Field(description="artist family whose pictures are never trained on")
    max_classes: PositiveInt | None = Field(None, description="keep only so many concepts (evenly spaced by name)")
    image_size_px: PositiveInt = Field(128, description="side of a rendered picture")
    max_unreadable: NonNegativeInt = Field(0, description="unreadable pictures allowed before the stage fails")


class EpisodesConfig(Section):
    """Few-shot episodes, shared by all settings and all Kg."""

    ways: Annotated[dict[Annotated[int, Field(ge=2)], PositiveInt], Field(min_length=1)] = Field(
        {2: 50, 5: 50}, description="number of episodes by number of ways"
    )
    shots: PositiveInt = Field(5, description="support pictures a class; a setting uses the first K of them")
    order: Literal["shuffled", "rounds"] = Field(
        "shuffled",
        description="of the support in a prompt; rounds: one shuffled picture of every class, then the next of every "
        "class, so that the prompt of fewer shots begins that of more shots and is read once",
    )
    queries: Literal["one", "each_class"] = Field(
        "one",
        description="one: a query of a class drawn at random, as in the paper; each_class: after the same support, a "
        "query of every class in turn",
    )
    support_split: Literal["train", "heldout"] = Field(
        "train", description="where support pictures come from; heldout: from the classes of the queries, as they do"
    )
    release: Annotated[list[Path], Field(min_length=1)] | None = Field(
        None, description="the release's files {N}_way_{K}_shot.csv; their episodes in place of drawn ones"
    )
    single_word_names: bool = Field(True, description="draw classes only among those whose name has no blank")

    @model_validator(mode="after")
    def _differ(self) -> "EpisodesConfig":
        file_names = [path.name for path in self.release or []]  # they say what the episodes in them are called
        if repeated := [name for name in file_names if file_names.count(name) > 1]:
            raise ValueError(f"file names of release must differ from each other, found {repeated[0]} twice")
        return self
