"""Sections of restoration in context (Table 4, Figure 7)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from v2l.config.base import Fraction, ItemName, NonNegativeInt, PositiveFloat, PositiveInt, Section
from v2l.config.llm import LlmConfig

Task = Literal["inpainting", "outpainting", "deblurring", "rotation", "shift"]


class Region(Section):
    """A rectangle of the token map, in tokens."""

    top: NonNegativeInt
    left: NonNegativeInt
    height: PositiveInt
    width: PositiveInt


class RestoreProtocol(Section):
    """The tasks and how they are put to the LLM."""

    tasks: Annotated[list[Task], Field(min_length=1)] = [
        "inpainting", "outpainting", "deblurring", "rotation", "shift"
    ]  # fmt: skip
    num_before: PositiveInt = Field(16, description="n: tokens before a window that a line shows")
    num_predicted: PositiveInt = Field(2, description="m: tokens of a window, predicted at once")
    replaced: Annotated[list[Fraction], Field(min_length=1)] = Field(
        [0.23, 0.26, 0.29, 0.32, 0.35, 0.38, 0.41, 0.44, 0.47, 0.50],
        description="an in-context variant each: share of tokens replaced by random ids",
    )
    order: Literal["most_to_least", "least_to_most"] = Field(
        "most_to_least", description="of the variants, by share replaced; release: most_to_least"
    )
    degraded_input: Literal["paper", "release"] = Field(
        "paper",
        description="of deblurring, rotation and shift; paper: the n tokens before the window and its m, "
        "release: the m tokens at the window",
    )
    inpainting: Region | None = Field(None, description="tokens to fill in; default: the centre, half as high and wide")
    outpainting: Region | None = Field(None, description="tokens to fill in; default: the lower half")
    blur_kernels: Annotated[list[Annotated[int, Field(ge=3)]], Field(min_length=1)] = Field(
        [5, 7, 9, 11], description="sides of the Gaussian kernel, in pixels; one is drawn for each picture"
    )
    shift_share: PositiveFloat = Field(
        0.25, description="a shifted picture is cut from one larger by this share: its bottom right, not its centre"
    )
    max_images: PositiveInt | None = Field(5_000, description="held-out pictures, evenly spaced")
    psnr_channel: Literal["rgb", "luma"] = "rgb"
    num_examples: NonNegativeInt = Field(2, description="pictures kept for the figure")

    @model_validator(mode="after")
    def _lists(self) -> "RestoreProtocol":
        for name in ("tasks", "replaced"):
            if len(set(values := getattr(self, name))) < len(values):
                raise ValueError(f"{name} must differ from each other, found {values}")
        if even := [side for side in self.blur_kernels if side % 2 == 0]:
            raise ValueError(f"blur_kernels must be odd, found {even}")
        return self

    def region(self, task: str, grid: int) -> Region:
        """The tokens that a task asks for, on a map of grid x grid.

        Raises ValueError if they do not lie on the map, or n and m do not fit it.
        """
        if self.num_before + self.num_predicted > grid**2:
            raise ValueError(
                f"num_before and num_predicted must fit the token map of {grid} x {grid}, "
                f"found {self.num_before} and {self.num_predicted}"
            )
        half = grid // 2
        regions = {
            "inpainting": self.inpainting or Region(top=grid // 4, left=grid // 4, height=half, width=half),
            "outpainting": self.outpainting or Region(top=half, left=0, height=grid - half, width=grid),
        }
        region = regions.get(task, Region(top=0, left=0, height=grid, width=grid))
        if region.top + region.height > grid or region.left + region.width > grid:
            raise ValueError(f"{task}: expected a mask within the token map of {grid} x {grid}, found {region}")
        if region.width % self.num_predicted:
            raise ValueError(
                f"num_predicted must divide the {region.width} tokens that {task} predicts in a row, "
                f"found {self.num_predicted}"
            )
        return region


class RestoreRun(Section):
    """Whose tokens are restored, and by which LLM."""

    tokenizer: ItemName
    llm: LlmConfig | None = Field(None, description="who predicts the tokens; default: the LLM of the vocabulary")


class RestoreConfig(Section):
    """Restoration in context."""

    runs: Annotated[dict[ItemName, RestoreRun], Field(min_length=1)] = {"v2l": RestoreRun(tokenizer="v2l")}
    protocol: RestoreProtocol = RestoreProtocol()
