"""Section `history` of the settings."""

import re

from pydantic import Field, field_validator

from quotemill.settings.section import Open, Section


class HistorySettings(Section):
    """Old versions of rows that a source corrects."""

    keep: Open[str] = Field(
        "",
        description="landed tables that keep old rows when a load corrects or deletes them, "
        "separated by commas. Leave empty for none",
    )

    @field_validator("keep")
    @classmethod
    def _are_tables(cls, value: str) -> str:
        for name in _split(value):
            if not re.fullmatch(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*", name):
                raise ValueError(
                    f"must be table names with schema, such as raw_tdx.kline_daily, not {name}"
                )
        return value

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(_split(self.keep))


def _split(value: str) -> list[str]:
    return [name for part in value.split(",") if (name := part.strip())]


SECTION = HistorySettings
