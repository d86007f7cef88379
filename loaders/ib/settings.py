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
        description="batches of quotes started per minute (open interest: twice as many). Unused "
        "capacity is kept for up to a sixth",
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
        None, description="host of the gateway. Leave empty to not load this source"
    )
    port: Open[int] = Field(
        4002,
        ge=1,
        le=65535,
        description="port of the gateway: 4001 live, 4002 paper (TWS: 7496 live, 7497 paper)",
    )
    client_id: Open[int] = Field(
        101,
        ge=1,
        description="client id of the connection. If it is in use, the next four are tried. Do "
        "not use 0, which would also receive manual orders",
    )
    market_data_type: Open[int] = Field(
        1,
        ge=1,
        le=4,
        description="market data type of slots: 1 live, 2 frozen, 3 delayed, 4 delayed or frozen",
    )
    allow_fallback_to_delayed: Open[bool] = Field(
        True, description="use delayed data if live data is not permitted"
    )
    clock: Open[Literal["machine", "gateway"]] = Field(
        "machine",
        description="clock that loads follow: this machine's, or the gateway's in whole seconds "
        "(for a sandbox)",
    )
    timeout: Open[Seconds] = Field(
        30.0, gt=0, description="maximum wait for a response about contracts"
    )
    quote_timeout: Open[Seconds] = Field(
        12.0, gt=0, description="maximum wait for the quotes of a batch (a snapshot ends after 11)"
    )
    settle: Open[Seconds] = Field(
        1.0, ge=0, description="time until a complete quote without an end is cancelled"
    )
    retry_waits: Open[list[Seconds]] = Field(
        [30.0, 60.0, 120.0, 240.0],
        description="pauses before reconnecting, after pacing violations, and while the gateway "
        "has lost its servers",
    )
    messages_per_second: Open[int] = Field(
        40, ge=1, le=50, description="maximum messages per second to the gateway, which allows 50"
    )
    market_data_lines: Open[int] = Field(
        100,
        ge=2,
        description="market data lines of the account (contracts watched at the same time)",
    )

    universe: Path | None = Field(
        None,
        description="CSV file with the columns symbol, weight, group and enabled. Leave empty "
        "for the examples shipped with quotemill",
    )
    stage: Open[int] = Field(
        0,
        ge=0,
        le=3,
        description="part of the universe to load: 0 the heaviest symbol, 1 two symbols, 2 ten, "
        "3 all enabled ones",
    )
    slot_range: Open[str | None] = Field(
        None, description="slots to capture, such as 09:30-16:00 in New York. Leave empty for all"
    )
    slot_before_close_enabled: Open[bool] = Field(
        False,
        description="capture another slot at 15:45 (12:45 on days with an early close), when "
        "vendors take their end-of-day greeks",
    )
    slot_window_minutes: Open[Annotated[int, Unit("minutes")]] = Field(
        15,
        ge=1,
        le=30,
        description="time within which a quote counts for its slot. Later quotes are stored, but "
        "do not count. Also used to estimate what fits into a slot",
    )
    pre_open_time: Open[Clock] = Field("09:25", description="time of discovery, in New York")
    midday_refresh_time: Open[Clock | None] = Field(
        None,
        description="time of a second discovery for additional contracts, in New York. Leave "
        "empty for none",
    )
    close_snapshot_time: Open[Clock] = Field(
        "17:00", description="time of the close snapshot, in New York"
    )
    close_snapshot_until: Open[Clock] = Field(
        "19:00", description="time until which the close snapshot retries missing contracts"
    )
    enrich_time: Open[Clock] = Field(
        "04:00", description="time to load open interest of the previous session, in New York"
    )
    enrich_confirm_time: Open[Clock] = Field(
        "07:30", description="time of a second pass for open interest that was not published yet"
    )
    expiry_types: Open[list[Literal["monthly", "quarterly", "weekly"]]] = Field(
        ["monthly", "quarterly"], description="expiration types to load"
    )
    max_dte: Open[Days | None] = Field(
        None, ge=0, description="maximum days to expiration. Leave empty for all listed expirations"
    )
    strike_range: Open[float] = Field(
        0.30, gt=0, description="range of strikes around the previous close, as a fraction of it"
    )
    max_strikes_per_expiry: Open[int | None] = Field(
        None,
        ge=1,
        description="strikes closest to the previous close. Leave empty for all in the range",
    )
    max_concurrent_snapshots: Open[int] = Field(
        10, ge=1, description="contracts requested at the same time (batch size)"
    )
    rate_limits: RateLimits = Field(RateLimits(), description="batches per minute")
    stale_after: Open[TradingDays] = Field(
        5, ge=0, description="trading days until outdated data raises an alert (0 = never)"
    )
    archive_folder: Path | None = Field(
        None,
        description="folder for completed days as Parquet files. Leave empty for `archive` in the "
        "home",
    )
    intraday_retain_days: Open[Days] = Field(
        60,
        ge=1,
        description="days to keep archived slots in the warehouse, and ticks unpacked in QuestDB",
    )
    risk_free_rate: Open[float] = Field(
        0.04, description="annual interest rate for recomputed implied volatilities"
    )
    min_slot_coverage: Open[float] = Field(
        0.90, ge=0, le=1, description="quality rating of a day: minimum share of covered slots"
    )
    max_delayed_share: Open[float] = Field(
        0.10,
        ge=0,
        le=1,
        description="quality rating of a day: the share of delayed rows must be lower (1 = any)",
    )
    max_fallback_share: Open[float] = Field(
        0.05,
        ge=0,
        le=1,
        description="quality rating of a day: maximum share of rows that are not from the close",
    )
    min_oi_share: Open[float] = Field(
        0.95,
        ge=0,
        le=1,
        description="quality rating of a day: minimum share of contracts with open interest",
    )

    max_capture_lag_seconds: Open[Seconds] = Field(
        120.0,
        gt=0,
        description="quality rating of a day: time after the slot within which 95% of its quotes "
        "must arrive. More symbols take longer",
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
                f"close_snapshot_time ({self.close_snapshot_time}), otherwise the close "
                "is never due"
            )
        if self.enrich_confirm_time < OPEN_INTEREST_PUBLISHED_AT:
            raise ValueError(
                f"enrich_confirm_time ({self.enrich_confirm_time}) must not be before "
                f"{OPEN_INTEREST_PUBLISHED_AT}, because earlier values confirm nothing"
            )
        return self

    @field_validator("slot_range", mode="before")
    @classmethod
    def _range(cls, value: Any) -> Any:
        clock = CLOCK.strip("^$")
        if not value:
            return None
        if not re.fullmatch(f"{clock}-{clock}", str(value)) or str(value)[:5] > str(value)[6:]:
            raise ValueError("not two ascending New York times like 09:30-16:00")
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
