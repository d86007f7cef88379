"""A deterministic synthetic market over real Shanghai trading days.

The same seed, size and end give the same bytes. A code is made when it is first used, and only the
newest stay in memory, so 500 codes of 2,500 days cost little of it.

Corporate actions move raw prices as in reality: the day of the event opens near the theoretical
ex-price (P − c) / m of the close before it. Stocks move in whole cents, funds in whole li.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from threading import RLock
from typing import Any

import numpy as np

from loaders.sandbox.world.actions import SPLIT, Action, events
from loaders.sandbox.world.bars import Bars, Ints, empty_bars
from loaders.sandbox.world.clock import CLOSE_OF_DAY
from loaders.sandbox.world.intraday import make_minutes, make_ticks
from loaders.sandbox.world.roles import INDICES, UNLISTED, Role, choose_roles
from loaders.sandbox.world.world import Security, Tick, World, is_b_share
from quotemill.errors import UsageError

DEFAULT_END = date(2025, 6, 30)
# the clock can move this many trading days beyond the end
FUTURE_DAYS = 60
FIRST_DAY = date(1990, 12, 19)
CACHED_BARS = 700_000  # of all codes together; 64 bytes each

EXCHANGE_NUMBER = {"sz": 0, "sh": 1, "bj": 2}
NAMES = {"sh000001": "上证指数", "sz399001": "深证成指", "sh000300": "沪深300"}


def exchange_days(first: date, last: date) -> list[date]:
    """Shanghai trading days of `pandas-market-calendars`, known from 1990-12."""
    return [stamp.date() for stamp in _calendar().valid_days(first, last)]


@cache
def _calendar() -> Any:
    import pandas_market_calendars

    return pandas_market_calendars.get_calendar("SSE")


def market_days(count: int, end: date) -> tuple[list[date], int]:
    """`count` trading days up to `end` and later ones; the position of the last."""
    span = timedelta(days=int(count * 1.6) + 60)
    first = end - span if end - FIRST_DAY > span else FIRST_DAY
    known = exchange_days(first, end + timedelta(days=FUTURE_DAYS * 2))
    past = sum(day <= end for day in known)
    if past < count:
        raise UsageError(
            f"only {past} Shanghai trading days are available up to {end}, not {count}",
            hint="Use fewer --days or a later --clock.",
        )
    return known[past - count : past + FUTURE_DAYS], count - 1


class SyntheticMarket(World):
    """`codes` stocks and funds over `days` trading days, 3 indices, a B share."""

    def __init__(
        self, *, codes: int = 30, days: int = 500, seed: int = 1, end: date = DEFAULT_END
    ) -> None:
        if codes < 1 or days < 40:
            raise UsageError("a market needs at least 1 code and 40 days")
        calendar, self._last = market_days(days, end)
        self._roles = {role.code: role for role in (*choose_roles(codes), *INDICES, *UNLISTED)}
        self._seed = seed
        self._stamps = [f"{day}T15:00:00" for day in calendar]
        self._bars: OrderedDict[str, Bars] = OrderedDict()
        self._cached = 0
        self._actions: dict[str, tuple[Action, ...]] = {}
        self._lock = RLock()
        securities = [
            Security(r.exchange, r.digits, _name(r), r.kind, calendar[self._position(r.from_)])
            for r in self._roles.values()
        ]
        super().__init__(calendar, datetime.combine(calendar[self._last], CLOSE_OF_DAY), securities)

    def _position(self, fraction: float) -> int:
        return round(fraction * self._last)

    def actions(self, code: str) -> Sequence[Action]:
        with self._lock:
            if code in self._roles and code not in self._actions:
                self.day_bars(code)
            return self._actions.get(code, ())

    def day_bars(self, code: str) -> Bars:
        with self._lock:
            bars = self._bars.get(code)
            if bars is None:
                bars, self._actions[code] = self._make(code)
                self._bars[code] = bars
                self._cached += len(bars)
                while self._cached > CACHED_BARS and len(self._bars) > 1:
                    self._cached -= len(self._bars.popitem(last=False)[1])
            self._bars.move_to_end(code)
            return bars

    def minutes(self, code: str, day: date) -> Bars:
        bars = self.day_bars(code)
        at = bars.find(day)
        role = self._roles.get(code)
        if at is None or role is None:
            return bars.slice(0, 0)
        row = tuple(int(column[at]) for column in bars.columns()[:6])
        return make_minutes(
            day.isoformat(),
            row,
            _tick(role),
            [*self._seeds(role), day.toordinal()],
            index=role.kind == "index",
            odd=int(bars.odd[at]),
            odd_lots=role.exchange == "bj" or role.digits.startswith("688"),
        )

    def ticks(self, code: str, day: date) -> list[Tick]:
        role = self._roles.get(code)
        if role is None or role.kind == "index":
            return []
        return make_ticks(self.minutes(code, day), [*self._seeds(role), day.toordinal()])

    def _seeds(self, role: Role) -> list[int]:
        return [self._seed, EXCHANGE_NUMBER[role.exchange], int(role.digits)]

    def _make(self, code: str) -> tuple[Bars, tuple[Action, ...]]:
        role = self._roles.get(code)
        if role is None:
            return empty_bars(), ()
        rng = np.random.default_rng(self._seeds(role))
        open_days = self._open_days(role)
        columns = _Columns(rng, len(open_days), role)
        scheduled = self._schedule(role)
        # an event during a suspension takes effect on the first bar after it
        effective: dict[int, list[tuple[int, str]]] = {}
        for day, kind in scheduled:
            bar = int(np.searchsorted(open_days, day))
            if 0 < bar < len(open_days):
                effective.setdefault(bar, []).append((day, kind))
        actions: list[Action] = []
        total = 50_000 + int(rng.integers(0, 400_000))
        price, start = role.base * 1000, 0
        for stop in [*sorted(effective), len(open_days)]:
            if stop > start:
                price = columns.fill(start, stop, price)
            for day, kind in effective.get(stop, ()):
                rows = _rows(role.code, self.days[day], kind, price / 1000, total)
                for event in events(rows):
                    price = float(event.ex_price(Fraction(round(price), 1000))) * 1000
                total = rows[-1].total_shares
                actions.extend(rows)
            start = stop
        stamps = [self._stamps[i] for i in open_days]
        return columns.bars(stamps), tuple(actions)

    def _open_days(self, role: Role) -> Ints:
        first = self._position(role.from_)
        last = self._position(role.to) if role.to < 1 else len(self._stamps) - 1
        days = np.arange(first, last + 1)
        for start, end in role.suspended:
            days = days[(days < self._position(start)) | (days > self._position(end))]
        return days

    def _schedule(self, role: Role) -> list[tuple[int, str]]:
        schedule = [(self._position(at), kind) for at, kind in role.events]
        if role.announced:
            schedule.append((self._last + role.announced, "cash"))
        return sorted(schedule)


class _Columns:
    """Columns of a series, filled with random moves."""

    def __init__(self, rng: np.random.Generator, length: int, role: Role) -> None:
        calm = 0.4 if role.kind != "stock" else 1.0
        self.role, self.rng, self.length = role, rng, length
        gaps = np.clip(rng.normal(0, 0.004 * calm, length), -0.012, 0.012)
        moves = np.clip(rng.normal(0, 0.016 * calm, length), -0.06, 0.06)
        # ends near its start (or at its drift), so that no price runs away over many days
        moves += role.drift / length - (gaps.mean() + moves.mean())
        self.gaps, self.moves = gaps, moves
        self.up = np.abs(rng.normal(0, 0.006 * calm, length))
        self.down = np.abs(rng.normal(0, 0.006 * calm, length))
        self.open, self.close = np.zeros(length), np.zeros(length)

    def fill(self, start: int, stop: int, before: float) -> float:
        """Fill days after a close (or ex-price) of `before` li; returns the last close."""
        tick = _tick(self.role)
        steps = np.cumsum(self.gaps[start:stop] + self.moves[start:stop])
        closes = np.maximum(np.rint(before * np.exp(steps) / tick), 5) * tick
        opens = np.concatenate([[before], closes[:-1]]) * np.exp(self.gaps[start:stop])
        self.open[start:stop] = np.maximum(np.rint(opens / tick), 5) * tick
        self.close[start:stop] = closes
        return float(closes[-1])

    def bars(self, stamps: list[str]) -> Bars:
        tick, role, rng = _tick(self.role), self.role, self.rng
        top, bottom = np.maximum(self.open, self.close), np.minimum(self.open, self.close)
        high = np.rint(top * (1 + self.up) / tick) * tick
        low = np.maximum(np.rint(bottom * (1 - self.down) / tick), 4) * tick
        high, low = np.maximum(high, top), np.minimum(low, bottom)
        size = {"stock": 11.5, "fund": 12.5, "index": 19.5}[role.kind]
        if role.thin:
            volume = rng.integers(1, 80, self.length).astype(np.float64)
            # fewer trades than prices: one price
            few = volume < 4
            self.open, high, low = (np.where(few, self.close, p) for p in (self.open, high, low))
        else:
            volume = np.rint(np.exp(rng.normal(size, 0.5, self.length)))
        weight = rng.uniform(0.25, 0.75, self.length)
        yuan_per_share = (low + (high - low) * weight) / 1000
        nothing = np.zeros(self.length, dtype=np.int64)
        up, down = nothing, nothing
        if role.kind == "index":
            volume = np.rint(volume / 100) * 100  # the service loses the two lowest digits
            yuan_per_share = np.full(self.length, 11.0)
            up = rng.integers(300, 1900, self.length)
            down = 2200 - up
        odd = nothing if role.kind == "index" else rng.integers(0, 100, self.length)
        # turnover travels as a single float
        amount = np.floor(
            ((volume * 100 + odd) * yuan_per_share).astype(np.float32).astype(np.float64) * 1000
        )
        columns = (self.open, high, low, self.close, volume, amount, up, down, odd)
        return Bars(stamps, *(np.asarray(column).astype(np.int64) for column in columns))


def _tick(role: Role) -> int:
    return 10 if role.kind == "stock" and not is_b_share(role.exchange, role.digits) else 1


def _name(role: Role) -> str:
    """A name of at most eight bytes of GBK, as in the service."""
    known = NAMES.get(role.code)
    return known or ("基金" if role.kind == "fund" else "样本") + role.digits[2:]


def _per10(price: float, share: float) -> Decimal:
    return Decimal(max(round(price * 10 * share, 2), 0.1)).quantize(Decimal("0.01"))


def _rows(code: str, day: date, kind: str, price: float, total: int) -> list[Action]:
    """The rows of one event for a security that closed at `price` yuan."""
    cash = _per10(price, 0.02)
    deal = Decimal(round(price * 0.7, 2)).quantize(Decimal("0.01"))
    grown = {"bonus": 1.3, "transfer": 1.5, "rights": 1.3, "joint": 1.6, "two_rows": 1.2}
    grown |= {"split": 2, "merge": 0.5}
    after = round(total * grown.get(kind, 1.0))
    kinds: dict[str, list[dict[str, Any]]] = {
        "cash": [{"cash": cash}],
        "big_cash": [{"cash": _per10(price, 0.12)}],
        "bonus": [{"bonus": Decimal(3)}],
        "transfer": [{"transfer": Decimal(5), "cash": cash}],
        "rights": [{"rights": Decimal(3), "rights_price": deal}],
        "joint": [
            {
                "cash": cash,
                "bonus": Decimal(2),
                "transfer": Decimal(2),
                "rights": Decimal(2),
                "rights_price": deal,
            }
        ],
        "two_rows": [{"cash": cash}, {"bonus": Decimal(2)}],
        # a price without rights shares: a public offer, which moves no price
        "offer": [{"rights_price": deal}],
        "shares": [{"category": 5}],
        "split": [{"category": SPLIT, "split_ratio": Decimal(2)}],
        "merge": [{"category": SPLIT, "split_ratio": Decimal("0.5")}],
    }
    return [
        Action(code, day, total_shares=after, float_shares=after * 6 // 10, **row)
        for row in kinds[kind]
    ]
