"""Section `ib` of the settings."""

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from quotemill.settings.allowed import Days, Form, Seconds, TradingDays, Unit
from quotemill.settings.section import Open, Section

CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
# in New York, by the exchange: open interest of the session before
OPEN_INTEREST_PUBLISHED_AT = "06:30"
Clock = Annotated[str, Field(pattern=CLOCK), Form("a time such as 09:30")]


class SnapshotRate(Section):
    """Batches of quotes."""

    per_minute: Open[float] = Field(
        30,
        gt=0,
        description="batches of quotes that may begin in a minute, and half of those of open "
        "interest; a sixth may gather",
    )


class RateLimits(Section):
    """A token is a batch."""

    snapshot: SnapshotRate = SnapshotRate()

    @property
    def open_interest_per_minute(self) -> float:
        """Batches of open interest: streams that hold their lines for half as long."""
        return 2 * self.snapshot.per_minute


class IbSettings(Section):
    """Option chains by an IB Gateway or TWS. Times in seconds."""

    host: Open[str | None] = Field(
        None, description="machine of the gateway; empty: the source is not loaded"
    )
    port: Open[int] = Field(
        4002, ge=1, le=65535, description="gateway 4001 live, 4002 paper; TWS 7496 live, 7497 paper"
    )
    client_id: Open[int] = Field(
        101,
        ge=1,
        description="number of the connection; if it is in use, the four after it are tried; "
        "0 would bind manual orders",
    )
    market_data_type: Open[int] = Field(
        1,
        ge=1,
        le=4,
        description="what a slot asks for: 1 live, 2 frozen, 3 delayed, 4 delayed or frozen",
    )
    allow_fallback_to_delayed: Open[bool] = Field(
        True, description="ask for delayed data where live data are not permitted"
    )
    clock: Open[Literal["machine", "gateway"]] = Field(
        "machine",
        description="clock of the load: this machine's, or the gateway's in whole seconds "
        "(a sandbox's)",
    )
    timeout: Open[Seconds] = Field(
        30.0, gt=0, description="longest wait for an answer about contracts"
    )
    quote_timeout: Open[Seconds] = Field(
        12.0, gt=0, description="longest wait for the quotes of a batch; a snapshot ends after 11"
    )
    settle: Open[Seconds] = Field(
        1.0, ge=0, description="how long a complete quote may miss its end before it is cancelled"
    )
    retry_waits: Open[list[Seconds]] = Field(
        [30.0, 60.0, 120.0, 240.0],
        description="pauses before a lost connection is opened again, after pacing violations, and "
        "while the gateway is without its servers",
    )
    messages_per_second: Open[int] = Field(
        40, ge=1, le=50, description="messages on the wire; the gateway takes 50"
    )
    market_data_lines: Open[int] = Field(
        100, ge=2, description="contracts that the account may watch at once"
    )

    universe: Path | None = Field(
        None, description="a CSV file: symbol, weight, group, enabled; empty: the examples shipped"
    )
    stage: Open[int] = Field(
        0,
        ge=0,
        le=3,
        description="of the universe: 0 its heaviest symbol, 1 two, 2 ten, 3 all that are enabled",
    )
    slot_range: Open[str | None] = Field(
        None, description="the slots that are captured, 09:30-16:00 in New York; empty: all"
    )
    slot_before_close_enabled: Open[bool] = Field(
        False,
        description="a further slot at 15:45, on an early close at 12:45, when vendors take their "
        "end-of-day greeks",
    )
    slot_window_minutes: Open[Annotated[int, Unit("minutes")]] = Field(
        15,
        ge=1,
        le=30,
        description="a quote that comes later after its slot is stored, and stands for no slot; "
        "what fits a slot is counted by it",
    )
    pre_open_time: Open[Clock] = Field("09:25", description="discovery, in New York")
    midday_refresh_time: Open[Clock | None] = Field(
        None, description="a second discovery, of further contracts, in New York; empty: none"
    )
    close_snapshot_time: Open[Clock] = Field("17:00", description="close snapshot, in New York")
    close_snapshot_until: Open[Clock] = Field(
        "19:00", description="until when the close snapshot requests again what it lacks"
    )
    enrich_time: Open[Clock] = Field(
        "04:00", description="open interest of the session before, in New York"
    )
    enrich_confirm_time: Open[Clock] = Field(
        "07:30", description="second pass, for what was not published at the first"
    )
    expiry_types: Open[list[Literal["monthly", "quarterly", "weekly"]]] = Field(
        ["monthly", "quarterly"], description="kinds of expirations that are loaded"
    )
    max_dte: Open[Days | None] = Field(
        None, ge=0, description="most days to expiration; empty: all that are listed"
    )
    strike_range: Open[float] = Field(
        0.30, gt=0, description="strikes this far from the previous close, as a share of it"
    )
    max_strikes_per_expiry: Open[int | None] = Field(
        None, ge=1, description="strikes nearest to the previous close; empty: all in the range"
    )
    max_concurrent_snapshots: Open[int] = Field(
        10, ge=1, description="contracts that are requested at once: the size of a batch"
    )
    rate_limits: RateLimits = Field(RateLimits(), description="batches a minute")
    stale_after: Open[TradingDays] = Field(
        5, ge=0, description="trading days after which late data are an alert; 0: never"
    )
    archive_folder: Path | None = Field(
        None, description="where closed days go as Parquet files; empty: `archive` below the home"
    )
    intraday_retain_days: Open[Days] = Field(
        60,
        ge=1,
        description="days that slots stay in the warehouse once they are archived, and ticks "
        "unpacked in QuestDB",
    )
    risk_free_rate: Open[float] = Field(0.04, description="a year's, of recomputed volatilities")
    min_slot_coverage: Open[float] = Field(
        0.90, ge=0, le=1, description="of a day's verdict: least share of slots that are covered"
    )
    max_delayed_share: Open[float] = Field(
        0.10, ge=0, le=1, description="of a day's verdict: delayed rows must be fewer; 1 for any"
    )
    max_fallback_share: Open[float] = Field(
        0.05, ge=0, le=1, description="of a day's verdict: most rows that are not of the close"
    )
    min_oi_share: Open[float] = Field(
        0.95, ge=0, le=1, description="of a day's verdict: least share with open interest"
    )

    max_capture_lag_seconds: Open[Seconds] = Field(
        120.0,
        gt=0,
        description="of a day's verdict: within how long after their slot 95 of 100 quotes come; "
        "more symbols take longer",
    )

    @property
    def usable_lines(self) -> int:
        """Lines that a load uses: others may use the account too."""
        return int(self.market_data_lines * 0.9)

    @property
    def slots(self) -> tuple[time, time] | None:
        """`slot_range` as two wall clocks."""
        if self.slot_range is None:
            return None
        first, last = map(time.fromisoformat, self.slot_range.split("-"))
        return first, last

    @model_validator(mode="after")
    def _batch_fits_lines(self) -> "IbSettings":
        if self.max_concurrent_snapshots + 1 > self.usable_lines:
            raise ValueError(
                "max_concurrent_snapshots and one line of the underlying must fit 0.9 of "
                f"market_data_lines ({self.market_data_lines})"
            )
        return self

    @model_validator(mode="after")
    def _times_ascend(self) -> "IbSettings":
        if self.close_snapshot_until <= self.close_snapshot_time:
            raise ValueError(
                f"close_snapshot_until ({self.close_snapshot_until}) must be after "
                f"close_snapshot_time ({self.close_snapshot_time}): else the close is never due"
            )
        if self.enrich_confirm_time < OPEN_INTEREST_PUBLISHED_AT:
            raise ValueError(
                f"enrich_confirm_time ({self.enrich_confirm_time}) must not be before "
                f"{OPEN_INTEREST_PUBLISHED_AT}: what is read earlier confirms nothing"
            )
        return self

    @field_validator("slot_range", mode="before")
    @classmethod
    def _range(cls, value: Any) -> Any:
        clock = CLOCK.strip("^$")
        if not value:
            return None
        if not re.fullmatch(f"{clock}-{clock}", str(value)) or str(value)[:5] > str(value)[6:]:
            raise ValueError("two times of New York, ascending: 09:30-16:00")
        return value

    @field_validator("archive_folder")
    @classmethod
    def _expanded(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    @field_validator(
        "host",
        "universe",
        "archive_folder",
        "max_dte",
        "max_strikes_per_expiry",
        "midday_refresh_time",
        mode="before",
    )
    @classmethod
    def _none_if_empty(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("retry_waits", "expiry_types", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        values = value.split(",") if isinstance(value, str) else value
        if not isinstance(values, list):
            return values
        return [v.strip() if isinstance(v, str) else v for v in values if v != ""]


SECTION = IbSettings
