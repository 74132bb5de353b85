"""What all sections of the configuration share: strict, frozen, and the number types."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
ItemName = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]  # of a tokenizer, codebook or run: a part of file names
PositiveFloat = Annotated[float, Field(gt=0)]

NO_NUMBER = PydanticCustomError("boolean", "Expected a number, not a boolean")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _booleans_are_no_numbers(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        section = validate(values)
        given = values if isinstance(values, Mapping) else {}
        if wrong := [key for key, value in given.items() if _has_become_number(value, getattr(section, key))]:
            errors = [InitErrorDetails(type=NO_NUMBER, loc=(key,), input=given[key]) for key in wrong]
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return section


def _has_become_number(given: Any, taken: Any) -> bool:
    """Whether pydantic, which reads ``yes`` as 1, has made a number of a boolean, or of one in a list or mapping."""
    if isinstance(given, Mapping) and isinstance(taken, Mapping):
        given, taken = list(given.values()), list(taken.values())
    if isinstance(given, list) and isinstance(taken, list):
        return any(map(_has_become_number, given, taken))
    return isinstance(given, bool) and not isinstance(taken, bool)
