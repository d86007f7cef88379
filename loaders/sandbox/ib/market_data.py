"""Market data that the gateway serves, by clock, permission and faults.

Tick numbers of delayed data differ from those of live data; our client sees both as the same
attributes, so only the market data type distinguishes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from loaders.sandbox.faults import FaultPlan, Rule
from loaders.sandbox.ib.hours import (
    ET,
    OPENS,
    VirtualClock,
    is_session,
    session_open,
    session_until,
)
from loaders.sandbox.ib.listing import Instrument
from loaders.sandbox.ib.option_prices import Computation
from loaders.sandbox.ib.stocks import rnd
from loaders.sandbox.ib.wire import LARGEST, Field
from loaders.sandbox.ib.world import World

DELAY = timedelta(minutes=15)
BOOK_STAYS = timedelta(minutes=5)  # after the close the live book empties
LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
PARTIAL = (10090, 10091)  # codes after which a part of the ticks still flows
CUT_OFF, RESTORED = (1100, 2110), (1101, 1102)  # from the servers, and back
CALL_INTEREST, PUT_INTEREST = 27, 28
ABSURD = 1e8  # dollars a share


@dataclass(frozen=True)
class Service:
    """Market data type that a request gets (0: nothing), and an error code (or 0)."""

    type: int
    code: int = 0
    message: str = ""


@dataclass(frozen=True)
class View:
    """The time that a quote is about, and whether there are buyers and sellers then."""

    when: datetime
    is_quoted: bool


class MarketData:
    """`zone` is that of the log-in."""

    def __init__(
        self, world: World, faults: FaultPlan, clock: VirtualClock, zone: ZoneInfo
    ) -> None:
        self.world, self.faults, self.clock, self.zone = world, faults, clock, zone
        self.is_cut_off = False  # from the servers: nothing is answered

    def apply_notice(self, code: int) -> None:
        """Lose or regain the servers, if a notice to the clients says so."""
        if code in (*CUT_OFF, *RESTORED):
            self.is_cut_off = code in CUT_OFF

    def strike(self, kind: str, instrument: Instrument) -> Rule | None:
        """The rule of a kind that strikes a contract now, counted."""
        return self.faults.strike(
            kind,
            accept=lambda rule: self._is_in_share(rule, instrument),
            symbol=instrument.symbol,
            conid=str(instrument.conid),
        )

    def find_rule(self, kind: str, instrument: Instrument) -> Rule | None:
        """The first rule of a kind that is about a contract."""
        subject = {"symbol": instrument.symbol, "conid": str(instrument.conid)}
        rules = self.faults.find_rules(kind, **subject)
        return next((rule for rule in rules if self._is_in_share(rule, instrument)), None)

    def is_hit(self, kind: str, instrument: Instrument) -> bool:
        return self.find_rule(kind, instrument) is not None

    def _is_in_share(self, rule: Rule, instrument: Instrument) -> bool:
        if "share" not in rule.definition.options:
            return True
        return rnd(self.world.seed, rule.kind, instrument.conid) < rule.number("share")

    def spelling(self, kind: str, instrument: Instrument) -> str | None:
        """What a rule of a kind makes of the numbers of a contract; None without one."""
        rule = self.find_rule(kind, instrument)
        return rule.option("value") if rule else None

    def number(self, kind: str, option: str, default: float) -> float:
        """An option of the newest rule of a kind, or the default without a rule."""
        rules = self.faults.find_rules(kind)
        return rules[-1].number(option) if rules else default

    def is_open(self, instrument: Instrument) -> bool:
        now = self.clock.now()
        day = now.date()
        if not is_session(day):
            return False
        return session_open(day) <= now <= instrument.closes_at(day) + BOOK_STAYS

    def serve(self, instrument: Instrument, requested: int) -> Service:
        """The market data type that a request for `requested` gets."""
        if rule := self.strike("error", instrument):
            return Service(0, rule.integer("code"), rule.option("message"))
        if self.faults.strike("competing"):
            return Service(0, 10197)
        refusals = self.faults.find_rules("permission", symbol=instrument.symbol)
        if not refusals:  # with permission, a request for delayed data gets live ones too
            frozen = requested in (FROZEN, DELAYED_FROZEN) and not self.is_open(instrument)
            return Service(FROZEN if frozen else LIVE)
        rule = refusals[-1]
        code = rule.integer("code")
        if code in PARTIAL:
            return Service(LIVE if requested < DELAYED else DELAYED, code)
        if requested in (DELAYED, DELAYED_FROZEN):
            if rule.option("delayed") == "no":
                return Service(0, 354)
            frozen = requested == DELAYED_FROZEN and not self.is_open(instrument)
            return Service(DELAYED_FROZEN if frozen else DELAYED, 10167)
        return Service(0, code)

    def view(self, instrument: Instrument, data_type: int) -> View:
        now = self.clock.now() - (DELAY if data_type >= DELAYED else timedelta())
        day = now.date()
        if not is_session(day) or now.time() < OPENS:
            day = session_until(day - timedelta(days=1))
        close = instrument.closes_at(day)
        is_live = day == now.date() and now <= close + BOOK_STAYS
        return View(min(now, close), is_live or data_type in (FROZEN, DELAYED_FROZEN))

    def quote_ticks(self, instrument: Instrument, service: Service) -> Iterator[tuple[Field, ...]]:
        """Messages of a quote without the number of the request, which belongs at place 2."""
        view, late = self.view(instrument, service.type), service.type >= DELAYED
        quote = self.world.quote(instrument, view.when)
        nobody, unset = (self.spelling(kind, instrument) for kind in ("no-quote", "unset-sizes"))
        bid, ask = quote.bid, quote.ask
        sizes = quote.bid_size, quote.ask_size
        last, last_size, volume = quote.last, quote.last_size, quote.volume
        is_old = self.is_hit("old-last", instrument)
        if is_old:
            last, last_size, volume = last or ask, last_size or 1, 0
        if is_old or not view.is_quoted or nobody:
            bid, ask, sizes = -1.0, -1.0, (0, 0)
        elif self.is_hit("crossed", instrument):
            bid, ask = round(ask + 0.05, 2), bid
        elif self.is_hit("absurd-bid", instrument):
            bid = ABSURD
        if instrument.stock.is_index and not instrument.is_option:
            yield 1, 6, 68 if late else 4, quote.last, 0, 0
        elif service.code != 10091:
            yield 1, 6, 66 if late else 1, nobody or bid, unset or sizes[0], 1
            yield 1, 6, 67 if late else 2, nobody or ask, unset or sizes[1], 1
            if last is not None:
                yield 1, 6, 68 if late else 4, last, unset or last_size, 0
                yield 46, 6, 88 if late else 45, int(view.when.timestamp())
            yield 2, 6, 74 if late else 8, unset or volume
        # also before the open: yesterday's close, though the quote is yesterday's too
        close = self.world.previous_close(instrument, self.clock.now().date())
        yield 1, 6, 75 if late else 9, close, 0, 0

    def computations(
        self, instrument: Instrument, service: Service
    ) -> Iterator[tuple[int, tuple[Field, ...]]]:
        """(tick number, values) of model, bid, ask and last; nothing for stocks."""
        if not instrument.is_option or service.code == 10090:
            return
        if self.is_hit("no-greeks", instrument):
            return
        view, base = self.view(instrument, service.type), 80 if service.type >= DELAYED else 10
        sentinel = self.is_hit("sentinel-greeks", instrument)
        shifts = {3: 0.0}
        if view.is_quoted:
            shifts |= {0: -0.01, 1: 0.01}
            if self.world.quote(instrument, view.when).last is not None:
                shifts[2] = 0.0
        for kind, shift in shifts.items():
            computation = self.world.computation(instrument, view.when, shift)
            yield base + kind, _list_values(computation, sentinel=sentinel)

    def open_interest(self, instrument: Instrument) -> Iterator[tuple[int, Field]]:
        """(tick number, contracts) of calls and puts.

        The other side of an option is 0; the sides of a stock are sums over its chain.
        """
        if self.is_hit("no-oi", instrument):
            return
        now = self.clock.now()
        unset = self.spelling("unset-sizes", instrument)
        if rule := self.find_rule("frozen-oi", instrument):
            now = min(now, datetime.combine(date.fromisoformat(rule.option("since")), time.max, ET))
        if instrument.is_option:
            chain = [instrument]
        else:
            chain = list(self.world.chain(instrument.symbol, now.date()).values())
        for tick, right in ((CALL_INTEREST, "C"), (PUT_INTEREST, "P")):
            side = (row for row in chain if row.right == right)
            known = sum(self.world.open_interest(row, now) for row in side)
            yield tick, unset or known


def _list_values(made: Computation, *, sentinel: bool) -> tuple[Field, ...]:
    if sentinel:
        return -1.0, -2.0, made.price, -1.0, -2.0, -2.0, -2.0, LARGEST
    model = (made.iv, made.delta, made.price, made.dividends)
    return (*model, made.gamma, made.vega, made.theta, made.underlying)
