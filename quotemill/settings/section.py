"""The base of every section of the settings."""

from pathlib import Path
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")
OPEN = "the console may change it"
# The console shows a setting that is not Open[…], and does not change it: a click must not run
# another program, choose a file that is written or read, or send a saved secret to another server.
Open = Annotated[T, OPEN]


def check_web_address(value: str | None) -> str | None:
    """The address of a service without a slash at its end; None for an empty one."""
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value.rstrip("/") if value else None


class Section(BaseModel):
    """A frozen model that refuses unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    # whether the secrets are addresses whose parts may be tokens
    has_tokens_in_addresses: ClassVar[bool] = False

    def below(self, _home: Path) -> Self:
        """These settings with the folders that lie below the home unless they are set."""
        return self
