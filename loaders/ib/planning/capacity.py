"""How many contracts fit a slot, and what is done about those that do not.

A batch of `max_concurrent_snapshots` contracts costs a token; tokens come `per_minute`, of which a sixth may
gather, a batch holds its lines for `hold_s`, and each contract and each underlying is a message on the wire.
What is captured must be done before the next slot's grace:

    seconds = max((batches − per_minute / 6) · 60 / per_minute, batches · hold_s, messages / messages_per_second)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from loaders.errors import SettingsError
from loaders.ib.pacing import burst_of, seconds_for
from loaders.ib.settings import IbSettings
from loaders.ib.slots import EVERY

HOLD = 2.0  # seconds that a batch holds its lines, where none was measured

C = TypeVar("C")


@dataclass(frozen=True)
class SlotPlan:
    """What a slot takes. `seconds` is the least that the rates allow."""

    contracts: Mapping[str, int]
    batch_size: int
    per_minute: float
    messages_per_second: float
    hold_s: float
    seconds_allowed: float

    @property
    def total(self) -> int:
        return sum(self.contracts.values())

    @property
    def batches(self) -> int:
        return -(-self.total // self.batch_size)

    @property
    def messages(self) -> int:
        """A batch that spans two symbols asks for both underlyings, one that repeats a symbol again."""
        return self.total + max(len(self.contracts), self.batches)

    @property
    def seconds(self) -> float:
        by_tokens = seconds_for(self.batches, self.per_minute)
        by_wire = self.messages / self.messages_per_second
        return max(by_tokens, self.batches * self.hold_s, by_wire)

    @property
    def capacity(self) -> int:
        """Contracts that fit a slot."""
        by_tokens = burst_of(self.per_minute) + self.seconds_allowed * self.per_minute / 60
        by_hold = self.seconds_allowed / self.hold_s if self.hold_s else by_tokens
        by_wire = self.seconds_allowed * self.messages_per_second - len(self.contracts)
        return min(int(min(by_tokens, by_hold)) * self.batch_size, max(int(by_wire), 0))

    @property
    def fits(self) -> bool:
        return self.total <= self.capacity

    def __str__(self) -> str:
        return (
            f"{self.total:,} contracts of {len(self.contracts):,} symbols: {self.batches:,} batches of "
            f"{self.batch_size}, {self.seconds / 60:.1f} of {self.seconds_allowed / 60:.0f} minutes; "
            f"{self.capacity:,} contracts fit"
        )


def slot_plan(
    settings: IbSettings, contracts: Mapping[str, int], hold_s: float | None = None
) -> SlotPlan:
    """The plan of a slot for so many contracts of each symbol; `hold_s` is what a batch took, where it is known:
    no more than the longest wait, whatever a session of few answers seems to tell."""
    return SlotPlan(
        contracts,
        settings.max_concurrent_snapshots,
        settings.rate_limits.snapshot.per_minute,
        settings.messages_per_second,
        min(hold_s, settings.quote_timeout) if hold_s else HOLD,
        EVERY.total_seconds() - settings.slot_grace_seconds,
    )


def shares(wanted: Mapping[str, int], capacity: int) -> dict[str, int]:
    """How many contracts each symbol may have: what it wants, or an even share of what fits.

    What a symbol does not want is for the others.
    """
    left, found = capacity, {}
    by_want = sorted(wanted, key=lambda symbol: (wanted[symbol], symbol))
    for taken, symbol in enumerate(by_want):
        found[symbol] = min(wanted[symbol], left // (len(by_want) - taken))
        left -= found[symbol]
    return found


def nearest(candidates: Sequence[C], distance: Mapping[C, Decimal], most: int) -> list[C]:
    """The candidates nearest to the money, in their own order. Calls and puts of a strike go together
    where the number allows."""
    if len(candidates) <= most:
        return list(candidates)
    order = {c: n for n, c in enumerate(candidates)}
    kept = sorted(candidates, key=lambda c: (distance[c], order[c]))[:most]
    return sorted(kept, key=order.__getitem__)


def refuse(plan: SlotPlan) -> SettingsError:
    return SettingsError(
        f"the chains do not fit a slot: {plan}",
        hint="ib.max_strikes_per_expiry, ib.max_dte or fewer symbols; ib.overflow = shrink takes the "
        "nearest strikes; higher ib.rate_limits.snapshot.per_minute if the account allows",
    )
