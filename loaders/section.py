"""The base of every section of the settings."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen model that refuses unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # fields by the variables under which other tools know them
    foreign_variables: ClassVar[Mapping[str, str]] = {}
    # the field without which such variables are not meant for us
    foreign_variables_need: ClassVar[str | None] = None
    # whether the secrets are addresses whose parts may be tokens
    has_tokens_in_addresses: ClassVar[bool] = False
