"""The section of the figures."""

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class FiguresConfig(Section):
    """What the figures show."""

    num_pictures: PositiveInt = Field(6, description="pictures in the picture grids")
    num_words: PositiveInt = Field(4, description="best words written under a picture")
