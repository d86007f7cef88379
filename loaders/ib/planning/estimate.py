"""The share of the rates that contracts take, and how many fit a slot.

A batch costs a token; tokens come `per_minute`, and a sixth of a minute's may gather. A batch holds
its lines for `hold_s`, and each contract and each underlying is a message on the wire. A slot must
be captured within its window (`slot_window_minutes`), and before the next slot is near:

    seconds = max((batches − per_minute / 6) · 60 / per_minute, batches · hold_s,
                  messages / messages_per_second)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from loaders.ib.pacing import burst_size, seconds_for
from loaders.ib.planning.timetable import MARGIN
from loaders.ib.settings import IbSettings
from loaders.ib.slots import BEFORE_CLOSE, EVERY
from quotemill.wording import say_count

HOLD = 2.0  # seconds that a batch holds its lines, where none was measured
INTEREST_BATCH = 50  # contracts; half of the lines that an account has at least


@dataclass(frozen=True)
class Estimate:
    """Batches of some contracts, a token each; `messages` on the wire.

    symbols, seconds_allowed  of a slot; open interest has no limit of its own
    """

    contracts: int
    batch_size: int
    per_minute: float
    hold_s: float
    messages: int
    messages_per_second: float
    symbols: int = 0
    seconds_allowed: float = 0.0

    @property
    def batches(self) -> int:
        return ceil(self.contracts / self.batch_size)

    @property
    def seconds(self) -> float:
        """The least time that the rates allow."""
        by_tokens = seconds_for(self.batches, self.per_minute)
        by_wire = self.messages / self.messages_per_second
        return max(by_tokens, self.batches * self.hold_s, by_wire)

    @property
    def capacity(self) -> int:
        """Contracts that fit a slot."""
        by_tokens = burst_size(self.per_minute) + self.seconds_allowed * self.per_minute / 60
        by_hold = self.seconds_allowed / self.hold_s if self.hold_s else by_tokens
        by_wire = self.seconds_allowed * self.messages_per_second - self.symbols
        return min(int(min(by_tokens, by_hold)) * self.batch_size, max(int(by_wire), 0))

    @property
    def fits(self) -> bool:
        return self.contracts <= self.capacity

    def as_json(self) -> dict[str, Any]:
        return {
            "contracts": self.contracts,
            "batches": self.batches,
            "batch_size": self.batch_size,
            "per_minute": self.per_minute,
            "burst": burst_size(self.per_minute),
            "minutes": round(self.seconds / 60, 2),
        }

    def __str__(self) -> str:
        symbols = f" of {say_count(self.symbols, 'symbol')}" if self.symbols else ""
        plan = (
            f"{say_count(self.contracts, 'contract')}{symbols}: "
            f"{say_count(self.batches, 'batch', 'batches')} of {self.batch_size}, "
            f"{self.per_minute:g} a minute after {burst_size(self.per_minute)}, "
            f"{self.seconds / 60:.1f}"
        )
        if not self.seconds_allowed:
            return f"{plan} minutes"
        return (
            f"{plan} of {self.seconds_allowed / 60:.1f} minutes; at {self.hold_s:.1f} s a batch "
            f"{self.capacity:,} contracts fit"
        )


def estimate_slot(
    settings: IbSettings, counts: Mapping[str, int], hold_s: float | None = None
) -> Estimate:
    """A slot with so many contracts of each symbol.

    `hold_s` is the measured time of a batch; no more than the longest wait counts. A batch requests
    the underlyings of its symbols too.
    """
    contracts, size = sum(counts.values()), settings.max_concurrent_snapshots
    shortest = BEFORE_CLOSE if settings.slot_before_close_enabled else EVERY
    return Estimate(
        contracts=contracts,
        batch_size=size,
        per_minute=settings.rate_limits.snapshot.per_minute,
        hold_s=min(hold_s, settings.quote_timeout) if hold_s else HOLD,
        messages=contracts + max(len(counts), ceil(contracts / size)),
        messages_per_second=settings.messages_per_second,
        symbols=len(counts),
        seconds_allowed=min(
            60.0 * settings.slot_window_minutes, (shortest - MARGIN).total_seconds()
        ),
    )


def estimate_interest(settings: IbSettings, contracts: int) -> Estimate:
    """A morning's open interest: streams, which cost a message more to cancel."""
    return Estimate(
        contracts=contracts,
        batch_size=min(INTEREST_BATCH, settings.usable_lines),
        per_minute=settings.rate_limits.open_interest_per_minute,
        hold_s=HOLD,
        messages=2 * contracts,
        messages_per_second=settings.messages_per_second,
    )


def describe_overflow(slot: Estimate) -> str | None:
    """How many contracts do not fit a slot, and what to change; None where all do."""
    if slot.fits:
        return None
    many = say_count(slot.contracts - slot.capacity, "contract does", "contracts do")
    return (
        f"{many} not fit into a slot, so the last ones have no quote: {slot}; fix: lower "
        "ib.max_strikes_per_expiry or ib.max_dte, or use fewer symbols"
    )


def describe_lag(slot: Estimate, limit: float) -> str | None:
    """Why the verdict on the lag will fail: 95 of 100 quotes cannot come within the limit."""
    if (lag := 0.95 * slot.seconds) <= limit:
        return None
    return (
        f"95% of a slot's quotes take {lag:.0f} s, more than ib.max_capture_lag_seconds = "
        f"{limit:g}, so the quality rating of each day fails; fix: raise it, or use fewer symbols"
    )
