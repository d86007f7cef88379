"""Section `timescale` of the settings."""

from collections.abc import Mapping

from pydantic import Field

from quotemill.settings.section import Open, Section

DAILY = "timescale_daily"  # its key in ops.settings


class TimescaleSettings(Section):
    """The use of TimescaleDB, where the warehouse has it, beyond minutes and ticks."""

    daily: Open[bool] = Field(
        False,
        description="store landed and adjusted day bars as hypertables too: one chunk per year, "
        "compressed after 30 days",
    )

    def stored(self) -> Mapping[str, str]:
        """The settings as ops.settings has them, for loads and for dbt's macros."""
        return {DAILY: str(self.daily).lower()}


SECTION = TimescaleSettings
