"""The base of every section of the settings."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


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
