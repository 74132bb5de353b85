"""The section of the figures."""

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class FiguresConfig(Section):
    """What the figures show."""

    num_pictures: PositiveInt = Field(6, description="pictures in the picture grids")
    num_words: PositiveInt = Field(4, description="best words written beside a picture")
    num_answers: PositiveInt = Field(3, description="captions shown, and as many answers to questions")
