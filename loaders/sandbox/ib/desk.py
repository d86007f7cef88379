"""What the gateway serves of the market: by clock, entitlement and faults. Nothing here sends anything.

Tick numbers of delayed data differ from those of live data; a client of ours sees them as the same
attributes, so that the market data type is all that tells them apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from loaders.sandbox.ib.faults import FaultPlan
from loaders.sandbox.ib.hours import (
    ET,
    OPENS,
    VirtualClock,
    is_session,
    session_close,
    session_open,
    session_until,
)
from loaders.sandbox.ib.listing import Instrument
from loaders.sandbox.ib.stocks import rnd
from loaders.sandbox.ib.surface import Computation
from loaders.sandbox.ib.wire import LARGEST, Field
from loaders.sandbox.ib.world import World
from loaders.sandbox.world.fault_plan import Rule

DELAY = timedelta(minutes=15)
BOOK_STAYS = timedelta(minutes=5)  # after the close the live book empties
LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
PARTIAL = (10090, 10091)  # codes after which a part of the ticks still flows
# what a message tells of
FARMS = {1100: "all", 2110: "all", 2103: "quotes", 2105: "history", 2157: "contracts"}
FARMS_BACK = {1101: "all", 1102: "all", 2104: "quotes", 2106: "history", 2158: "contracts"}
BACK = {2103: 2104, 2105: 2106, 2157: 2158}
CALL_INTEREST, PUT_INTEREST = 27, 28


@dataclass(frozen=True)
class Served:
    """`type` 0: nothing is. `code` is told to the client first, 0: none."""

    type: int
    code: int = 0
    message: str = ""


@dataclass(frozen=True)
class View:
    """The moment that a quote speaks of, and whether there are buyers and sellers then."""

    when: datetime
    is_quoted: bool


class Desk:
    def __init__(self, world: World, faults: FaultPlan, clock: VirtualClock) -> None:
        self.world, self.faults, self.clock = world, faults, clock
        self._lost: set[str] = set()  # servers that the gateway has lost: nothing comes of them

    def hear(self, code: int) -> None:
        """Lose or find what a message to the clients tells of."""
        if code in FARMS:
            self._lost.add(FARMS[code])
        elif code in FARMS_BACK:
            self._lost.discard(FARMS_BACK[code])

    def has_lost(self, farm: str) -> bool:
        return bool(self._lost & {farm, "all"})

    def find_rule(self, kind: str, instrument: Instrument) -> Rule | None:
        """The rule of a kind that strikes a contract now, counted where it is limited."""
        return self.faults.strike(
            kind,
            chosen=lambda rule: self._share(rule, instrument),
            symbol=instrument.symbol,
            conid=str(instrument.conid),
        )

    def _stands(self, kind: str, instrument: Instrument) -> bool:
        about = {"symbol": instrument.symbol, "conid": str(instrument.conid)}
        return any(self._share(rule, instrument) for rule in self.faults.standing(kind, **about))

    def _share(self, rule: Rule, instrument: Instrument) -> bool:
        if "share" not in rule.defaults:
            return True
        return rnd(self.world.seed, rule.kind, instrument.conid) < rule.number("share")

    def number(self, kind: str, option: str, default: float) -> float:
        """An option of the newest rule of a kind, or what holds without one."""
        rules = self.faults.standing(kind)
        return rules[-1].number(option) if rules else default

    # ------------------------------------------------------------------ entitlement
    def is_open(self) -> bool:
        now = self.clock.now()
        day = now.date()
        return is_session(day) and session_open(day) <= now <= session_close(day) + BOOK_STAYS

    def serve(self, instrument: Instrument, requested: int) -> Served:
        """Which market data type a request of that type gets."""
        if rule := self.find_rule("error", instrument):
            return Served(0, rule.integer("code"), rule.option("message"))
        if self.faults.strike("competing"):
            return Served(0, 10197)
        refused = self.faults.standing("permission", symbol=instrument.symbol)
        if not refused:  # entitled: who asks for delayed data gets live ones too
            frozen = requested in (FROZEN, DELAYED_FROZEN) and not self.is_open()
            return Served(FROZEN if frozen else LIVE)
        rule = refused[-1]
        code = rule.integer("code")
        if code in PARTIAL:
            return Served(LIVE if requested < DELAYED else DELAYED, code)
        if requested in (DELAYED, DELAYED_FROZEN):
            if rule.option("delayed") == "no":
                return Served(0, 354)
            frozen = requested == DELAYED_FROZEN and not self.is_open()
            return Served(DELAYED_FROZEN if frozen else DELAYED, 10167)
        return Served(0, code)

    # ------------------------------------------------------------------ ticks
    def view(self, served: int) -> View:
        now = self.clock.now() - (DELAY if served >= DELAYED else timedelta())
        day = now.date()
        if not is_session(day) or now.time() < OPENS:
            day = session_until(day - timedelta(days=1))
        close = session_close(day)
        is_live = day == now.date() and now <= close + BOOK_STAYS
        return View(min(now, close), is_live or served in (FROZEN, DELAYED_FROZEN))

    def quick_ticks(self, instrument: Instrument, served: Served) -> Iterator[tuple[Field, ...]]:
        """Messages of a quote without the number of the request, which belongs at place 2."""
        view, late = self.view(served.type), served.type >= DELAYED
        quoted = self.world.quote(instrument, view.when)
        bid, ask = quoted.bid, quoted.ask
        sizes = quoted.bid_size, quoted.ask_size
        if not view.is_quoted or self._stands("no-quote", instrument):
            bid, ask, sizes = -1.0, -1.0, (0, 0)
        elif self._stands("crossed", instrument):
            bid, ask = round(ask + 0.05, 2), bid
        if served.code != 10091:
            yield 1, 6, 66 if late else 1, bid, sizes[0], 1
            yield 1, 6, 67 if late else 2, ask, sizes[1], 1
            if quoted.last is not None:
                yield 1, 6, 68 if late else 4, quoted.last, quoted.last_size, 0
                yield 46, 6, 88 if late else 45, int(view.when.timestamp())
            yield 2, 6, 74 if late else 8, quoted.volume
        # also before the open: the close of yesterday, though the quote is yesterday's too
        close = self.world.previous_close(instrument, self.clock.now().date())
        yield 1, 6, 75 if late else 9, close, 0, 0

    def computations(
        self, instrument: Instrument, served: Served
    ) -> Iterator[tuple[int, tuple[Field, ...]]]:
        """(tick number, values) of model, bid, ask and last; nothing for stocks."""
        if not instrument.is_option or served.code == 10090:
            return
        if self._stands("no-greeks", instrument):
            return
        view, base = self.view(served.type), 80 if served.type >= DELAYED else 10
        bad = self._stands("sentinel-greeks", instrument)
        shifts = {3: 0.0}
        if view.is_quoted:
            shifts |= {0: -0.01, 1: 0.01}
            if self.world.quote(instrument, view.when).last is not None:
                shifts[2] = 0.0
        for kind, shift in shifts.items():
            made = self.world.computation(instrument, view.when, shift)
            yield base + kind, _values(made, sentinel=bad)

    def open_interest(self, instrument: Instrument) -> Iterator[tuple[int, int]]:
        """(tick number, contracts) of calls and puts: of an option the other side is 0, of a stock both
        are sums over the chain."""
        if self._stands("no-oi", instrument):
            return
        now = self.clock.now()
        for rule in self.faults.standing("frozen-oi", symbol=instrument.symbol):
            now = min(now, datetime.combine(date.fromisoformat(rule.option("since")), time.max, ET))
        if instrument.is_option:
            chain = [instrument]
        else:
            chain = list(self.world.chain(instrument.symbol, now.date()).values())
        for tick, right in ((CALL_INTEREST, "C"), (PUT_INTEREST, "P")):
            of_side = (row for row in chain if row.right == right)
            yield tick, sum(self.world.open_interest(row, now) for row in of_side)


def _values(made: Computation, *, sentinel: bool) -> tuple[Field, ...]:
    if sentinel:
        return -1.0, -2.0, made.price, -1.0, -2.0, -2.0, -2.0, LARGEST
    return (
        *(made.iv, made.delta, made.price, made.dividends),
        *(made.gamma, made.vega, made.theta, made.underlying),
    )
