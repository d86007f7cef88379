"""Section `alerts` of the settings."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from quotemill.settings.allowed import Unit
from quotemill.settings.section import Open, Section


class AlertSettings(Section):
    """Who gets alerts, and about what. Addresses are secrets as a whole."""

    has_tokens_in_addresses: ClassVar = True

    urls: list[SecretStr] = Field(
        [],
        description="channels as apprise's addresses, slack://…, mailtos://…, dingtalk://…; "
        "blanks separate them in a variable",
    )
    ping_url: Open[SecretStr | None] = Field(
        None,
        description="a dead man's switch: requested after each run that sent all its alerts",
    )
    disk_percent: Open[Annotated[float, Unit("per cent")]] = Field(
        80.0, gt=0, le=100, description="per cent of a disk in use above which an alert is sent"
    )
    repeat_after: Open[Annotated[float, Unit("hours")] | None] = Field(
        None, gt=0, description="hours after which an open cause is sent again; empty: never"
    )

    @field_validator("urls", mode="before")
    @classmethod
    def _blank_list(cls, value: Any) -> Any:
        # an address may have commas of its own
        return value.split() if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _addresses(cls, value: list[SecretStr]) -> list[SecretStr]:
        for number, url in enumerate(value, 1):
            if "://" not in url.get_secret_value():
                raise ValueError(f"number {number} is no address: one has a form like slack://…")
        return value

    @field_validator("ping_url")
    @classmethod
    def _http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @field_validator("repeat_after", mode="before")
    @classmethod
    def _none_if_empty(cls, value: Any) -> Any:
        return None if value == "" else value


SECTION = AlertSettings
