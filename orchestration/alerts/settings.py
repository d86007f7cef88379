"""Section `alerts` of the settings."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from quotemill.settings.allowed import Unit
from quotemill.settings.section import Open, Section


class AlertSettings(Section):
    """Who gets alerts, and when. Whole URLs are treated as secrets."""

    has_tokens_in_addresses: ClassVar = True

    urls: list[SecretStr] = Field(
        [],
        description="Apprise URLs of the channels, such as slack://…, mailtos://… or dingtalk://…. "
        "In a variable, separate them with spaces",
    )
    ping_url: Open[SecretStr | None] = Field(
        None,
        description="dead man's switch: URL to request after each run that sent all its alerts",
    )
    disk_percent: Open[Annotated[float, Unit("percent")]] = Field(
        80.0, gt=0, le=100, description="disk usage in percent above which an alert is sent"
    )
    repeat_after: Open[Annotated[float, Unit("hours")] | None] = Field(
        None,
        gt=0,
        description="hours after which an open alert is sent again. Leave empty for never",
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
                raise ValueError(f"number {number} is not a channel URL such as slack://…")
        return value

    @field_validator("ping_url")
    @classmethod
    def _http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @field_validator("repeat_after", mode="before")
    @classmethod
    def _none_if_empty(cls, value: Any) -> Any:
        return None if value == "" else value


SECTION = AlertSettings
