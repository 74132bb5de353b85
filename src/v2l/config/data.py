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

    ways: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)] = [2, 5]
    per_way: PositiveInt | dict[int, PositiveInt] = Field(
        50, description="episodes for each number of ways; or by it: {2: 100, 5: 50}"
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

    def number(self, ways: int) -> int:
        """How many episodes of so many ways are drawn."""
        return self.per_way[ways] if isinstance(self.per_way, dict) else self.per_way

    @model_validator(mode="after")
    def _each_way_has_a_number(self) -> "EpisodesConfig":
        if isinstance(self.per_way, dict) and self.per_way.keys() != set(self.ways):
            raise ValueError(f"per_way: expected a number for each of the ways {self.ways}, found {list(self.per_way)}")
        return self

    @model_validator(mode="after")
    def _differ(self) -> "EpisodesConfig":
        file_names = [path.name for path in self.release or []]  # they say what the episodes in them are called
        for key, values in (("ways", self.ways), ("file names of release", file_names)):
            if repeated := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{key} must differ from each other, found {repeated[0]} twice")
        return self
