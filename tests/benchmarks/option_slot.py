"""One slot of 50 symbols and 8 contracts each, at the rates of stage 3, by the real client.

What the rates allow is the plan's formula (loaders/ib/planning/capacity.py) and the answer to the last batch.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from statistics import median

from loaders.ib.capture.batches import Capturer
from loaders.ib.client import live_gateway
from loaders.ib.client.gateway import Candidate, Gateway, OptionContract
from loaders.ib.contracts import expiries
from loaders.ib.pacing import MachineWaits, TokenBucket
from loaders.ib.planning import capacity
from loaders.ib.settings import IbSettings
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import World
from tests.benchmarks.report import Aim, table

SYMBOLS, STRIKES, EXPIRIES = 50, 2, 2
STAGE_3 = {"max_concurrent_snapshots": 20, "rate_limits": {"snapshot": {"per_minute": 90}}}
WITHIN = 1.05  # of what the rates allow
CLOCK, DAY = "2026-11-19T10:00:05", date(2026, 11, 19)


@dataclass(frozen=True)
class Slot:
    """`seconds` of the capture; `messages` that the gateway was sent in it, clock questions apart."""

    seconds: float
    batches: int
    messages: int
    good: int
    hold_s: float
    plan: capacity.SlotPlan

    @property
    def allowed(self) -> float:
        by_wire = self.messages / self.plan.messages_per_second
        return max(capacity.seconds_for(self.batches, self.plan.per_minute), by_wire) + self.hold_s


def slots(rounds: int, say: Callable[[str], object]) -> list[Slot]:
    """The same slot so many times, each by a connection of its own."""
    symbols = [f"SYN{n:03}" for n in range(1, SYMBOLS + 1)]
    found = []
    with IbSandbox(World(symbols), clock=CLOCK) as sandbox:
        ib = IbSettings.model_validate(sandbox.settings() | STAGE_3)
        with live_gateway.gateway(ib) as gateway:
            contracts = [c for symbol in symbols for c in _contracts(gateway, symbol)]
        for number in range(rounds):
            sandbox.log.clear()
            with live_gateway.gateway(ib) as gateway:
                found.append(_slot(gateway, ib, contracts, sandbox))
            say(f"round {number + 1}: {len(contracts)} contracts in {found[-1].seconds:.1f} s")
    return found


def _contracts(gateway: Gateway, symbol: str) -> list[OptionContract]:
    stock = gateway.stock(symbol)
    price = gateway.previous_close(stock).price
    [chain] = gateway.option_params(stock)
    days = expiries.chosen(chain.expirations, DAY + timedelta(days=1), ("monthly",), None)

    def near(strike: Decimal) -> Decimal:
        return abs(strike - price)

    found = []
    for day in days[1 : EXPIRIES + 1]:
        wanted = [
            Candidate(symbol, stock.conid, chain.trading_class, day, strike, right)
            for strike in sorted(chain.strikes, key=near)[: 4 * STRIKES]
            for right in ("C", "P")
        ]
        listed = gateway.qualify(wanted).contracts  # type: ignore[arg-type]
        ordered = sorted(listed, key=lambda c: (near(c.strike), c.strike))
        found += ordered[: 2 * STRIKES]
    return found


def _slot(
    gateway: Gateway, ib: IbSettings, contracts: list[OptionContract], sandbox: IbSandbox
) -> Slot:
    gateway.source()  # connected
    waits = MachineWaits(lambda: False)
    bucket = TokenBucket(ib.rate_limits.snapshot.per_minute, waits)
    capturer = Capturer(
        *(gateway, gateway.now, bucket, waits, ib.max_concurrent_snapshots, 90, 1, True),
        *(ib.retry_waits, gateway.now() + timedelta(minutes=28)),
    )
    began = time.monotonic()
    found = capturer.capture(contracts)
    seconds = time.monotonic() - began
    asked = Counter(entry.what for entry in sandbox.log)
    good = sum(quote.failure is None for quote in found.quotes.values())
    by_symbol = {s: len(list(of)) for s, of in groupby(contracts, lambda c: c.symbol)}
    messages = asked["reqMktData"] + asked["cancelMktData"]
    plan = capacity.slot_plan(ib, by_symbol, found.hold_s)
    return Slot(seconds, found.batches, messages, good, found.hold_s, plan)


def aims(found: list[Slot]) -> list[Aim]:
    share = median(slot.seconds / slot.allowed for slot in found)
    good = min(slot.good / slot.plan.total for slot in found)
    return [
        (
            "slot of option chains",
            f"≤ {WITHIN} × what the rates allow",
            f"{share:.2f} ×",
            share <= WITHIN,
        ),
        ("contracts of it with a quote", "100 %", f"{good:.1%}", good == 1),
    ]


def section(found: list[Slot]) -> str:
    one = found[0].plan
    rows = [
        (
            n,
            f"{s.seconds:.1f}",
            f"{s.allowed:.1f}",
            f"{s.messages / s.seconds:.1f}",
            f"{s.hold_s:.2f}",
            s.good,
        )
        for n, s in enumerate(found, 1)
    ]
    head = ("round", "seconds", "allowed", "messages/s", "hold, s", "contracts with a quote")
    return (
        f"{one}\n\n{table(head, rows)}\n\n"
        "Allowed is `max((batches − per_minute / 6) · 60 / per_minute, messages / messages_per_second) + hold`: "
        f"{found[0].batches} batches, {one.per_minute:g} a minute, {found[0].messages} messages, "
        f"{one.messages_per_second:g} a second. The client is the real one, the gateway the sandbox on the "
        "same machine; landing is not in it."
    )
