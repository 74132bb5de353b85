"""The section of the claims table."""

from typing import Annotated

from pydantic import Field

from v2l.config.base import Section


class ClaimsConfig(Section):
    """How claims are judged."""

    margin: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.02, description="of a claim that nothing is lost: largest loss that counts as none, as a share"
    )
