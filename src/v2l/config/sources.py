"""Sections of the paper's data sets, in the form their owners distribute them (docs/data.md)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from v2l.config.base import NonNegativeInt, Section


class _Source(Section):
    root: Path = Field(description="folder of the data set")
    check_counts: bool = Field(
        True, description="stop unless there are as many classes, pictures and texts as the owners state; false: a part"
    )


class _TrainValSource(_Source):
    splits: Annotated[list[Literal["train", "val"]], Field(min_length=1)] = Field(
        ["train", "val"], description="the owners' splits to read; val becomes the held-out pictures"
    )

    @field_validator("splits")
    @classmethod
    def _once(cls, splits: list[str]) -> list[str]:
        if len(set(splits)) < len(splits):
            raise ValueError(f"expected each split once, found {', '.join(splits)}")
        return splits


class ImageNetConfig(_TrainValSource):
    """ImageNet-1K (ILSVRC 2012): class folders or the official tar archives."""

    kind: Literal["imagenet"]
    val_labels: Path | None = Field(
        None, description="the devkit's folder or LOC_val_solution.csv; null: looked for in root"
    )


class MiniImageNetConfig(_Source):
    """Mini-ImageNet: the lists of Ravi and Larochelle over a folder of pictures."""

    kind: Literal["mini_imagenet"]
    splits: Annotated[dict[Literal["train", "val", "test"], Literal["train", "heldout"]], Field(min_length=1)] = Field(
        {"train": "train", "val": "train", "test": "heldout"},
        description="what each list becomes; one that is not named is not read",
    )


class CocoConfig(_TrainValSource):
    """COCO captions."""

    kind: Literal["coco"]
    year: Literal[2014, 2017]


class VqaV2Config(_TrainValSource):
    """VQA v2: its questions and answers, and the COCO 2014 pictures they are about."""

    kind: Literal["vqa_v2"]
    pictures: Path | None = Field(None, description="folder of train2014 and val2014; null: root")


AnySourceConfig = Annotated[ImageNetConfig | MiniImageNetConfig | CocoConfig | VqaV2Config, Field(discriminator="kind")]


class SourcesConfig(Section):
    """The data sets whose pictures make up the manifest, in its order."""

    kind: Literal["sources"]
    sources: Annotated[list[AnySourceConfig], Field(min_length=1)]
    max_unreadable: NonNegativeInt = Field(0, description="unreadable pictures allowed before the stage fails")

    @field_validator("sources")
    @classmethod
    def _ask(cls, sources: list[AnySourceConfig]) -> list[AnySourceConfig]:
        if not any(isinstance(source, VqaV2Config) for source in sources):
            found = ", ".join(source.kind for source in sources)
            raise ValueError(f"expected one of kind vqa_v2 among them, for the questions; found {found}")
        return sources
