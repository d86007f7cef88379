"""The world as the servers would show it: up to a clock, and with the faults that stand.

A `Series` is what a chart looks into: rows numbered without a gap, located by number or by stamp. Days
before the clock's own are counted without being made, so a whole life costs what is looked at.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import RLock

from loaders.sandbox.faults import FaultPlan
from loaders.sandbox.tq.exchange import Contract, Exchange, Row, Switches, held
from loaders.sandbox.tq.varieties import CST, NS, instant
from loaders.sandbox.world.clock import CLOSE_OF_DAY

DAY = 86_400 * NS
DAMAGE = ("empty", "short", "duplicate", "late", "one-level")


@dataclass(frozen=True)
class Block:
    """The rows of one day: nothing of it is older than `start`; `rows` makes them."""

    start: int
    count: int
    rows: Callable[[], list[Row]]


class Series:
    def __init__(self, blocks: list[Block], first_id: int = 0) -> None:
        self._blocks = [block for block in blocks if block.count]
        self.first_id = first_id
        self._ends: list[int] = []
        total = first_id
        for block in self._blocks:
            total += block.count
            self._ends.append(total)

    @property
    def last_id(self) -> int:
        """-1 where there is no row."""
        return self._ends[-1] - 1 if self._ends else -1

    def row(self, number: int) -> Row | None:
        return next(iter(self.rows(number, number).values()), None)

    def rows(self, first: int, last: int) -> dict[int, Row]:
        """Those that there are from one number to another, both included, by number."""
        found: dict[int, Row] = {}
        number, last = max(first, self.first_id), min(last, self.last_id)
        while number <= last:
            place = bisect_right(self._ends, number)
            before = self._ends[place - 1] if place else self.first_id
            part = self._blocks[place].rows()[number - before : last - before + 1]
            found.update(enumerate(part, number))
            number += len(part)
        return found

    def locate(self, stamp: int) -> int:
        """Number of the first row at or after `stamp`; one past the last where there is none."""
        place = bisect_right([block.start for block in self._blocks], stamp) - 1
        if place < 0:
            return self.first_id
        before = self._ends[place - 1] if place else self.first_id
        stamps = [row["datetime"] for row in self._blocks[place].rows()]
        return before + bisect_left(stamps, stamp)


class Market:
    """`clock` is exchange wall clock without a zone."""

    def __init__(self, world: Exchange, faults: FaultPlan, clock: datetime) -> None:
        self.world, self.faults = world, faults
        self._clock = clock
        self._lock = RLock()
        self._made_under: tuple[int, datetime] | None = None
        self._series: dict[tuple[str, int], Series] = {}
        self._bars: dict[tuple[str, date, int], list[Row]] = {}
        self._bars_under = -1

    @property
    def clock(self) -> datetime:
        return self._clock

    def set_clock(self, clock: datetime) -> None:
        with self._lock:
            self._clock = clock

    @property
    def now(self) -> int:
        return int(self._clock.replace(tzinfo=CST).timestamp()) * NS

    @property
    def today(self) -> date:
        """The trading day that the clock stands in; the evening belongs to the next one."""
        evening = self._clock.time() > CLOSE_OF_DAY
        day = self._clock.date() + timedelta(days=1 if evening else 0)
        position = bisect_left(self.world.calendar, day)
        return self.world.calendar[min(position, len(self.world.calendar) - 1)]

    # ------------------------------------------------------------------ contracts
    def contracts(self, variety: str) -> list[Contract]:
        """Those that were listed up to now."""
        return [c for c in self.world.contracts(variety) if c.listed <= self.today]

    def contract(self, code: str) -> Contract | None:
        found = self.world.contract(code)
        if (
            found is None
            or found.listed > self.today
            or self.faults.find_rules("unknown", symbol=code)
        ):
            return None
        return found

    def variety_of(self, symbol: str) -> str | None:
        """Of a continuous series KQ.m@SHFE.cu or a contract."""
        if symbol.startswith("KQ.m@"):
            code = symbol.removeprefix("KQ.m@")
            return code if code in self.world.varieties else None
        contract = self.world.contract(symbol)
        return contract.variety.code if contract else None

    def main_table(self, variety: str) -> Switches:
        """(first trading day, contract) up to now, revisions included."""
        table = []
        for day, contract in self.world.main_table(variety):
            by = sum(
                r.integer("by") for r in self.faults.find_rules("revise-mains", contract=contract)
            )
            if by:
                calendar = self.world.calendar
                day = calendar[bisect_left(calendar, day) + by]
            table.append((day, contract))
        return [row for row in sorted(table) if row[0] <= self.today]

    def main_on(self, variety: str, day: date) -> str | None:
        return held(self.main_table(variety), day)

    # ------------------------------------------------------------------ rows
    def day_ticks(self, contract: str, day: date, *, damaged: bool = True) -> list[Row]:
        """Ticks of a trading day up to now: as told, or (`damaged=False`) as they should be."""
        kinds = ("revise-ticks", *DAMAGE) if damaged else ("revise-ticks",)
        rows = self.world.day_ticks(contract, day)
        where = {"contract": contract, "day": day.isoformat()}
        for kind in kinds:
            for rule in self.faults.find_rules(kind, **where):
                rows = CHANGES[kind](rows, rule.option)
        if day >= self.today:
            now = self.now
            rows = [row for row in rows if row["datetime"] <= now]
        return rows

    def series(self, symbol: str, duration: int) -> Series:
        """Ticks (duration 0) or bars (duration in ns) of a contract or a continuous series."""
        with self._lock:
            under = (self.faults.version, self._clock)
            if self._made_under != under:
                self._made_under = under
                self._series.clear()
            key = (symbol, duration)
            if key not in self._series:
                self._series[key] = self._make(symbol, duration)
            return self._series[key]

    def _make(self, symbol: str, duration: int) -> Series:
        variety, is_main = self.variety_of(symbol), symbol.startswith("KQ.m@")
        if variety is None or (self.faults.find_rules("no-series", variety=variety) and is_main):
            return Series([])
        table = self.main_table(variety) if is_main else []
        blocks = []
        for day in self.world.days:
            if day > self.today:
                break
            contract = held(table, day) if is_main else symbol
            if contract is not None:
                blocks.append(self._block(contract, variety, day, duration))
        first_id = 0 if is_main or duration else self.world.first_id(symbol)
        return Series(blocks, first_id)

    def _block(self, contract: str, variety: str, day: date, duration: int) -> Block:
        start = self.world.sessions(variety, day)[0][0]
        if duration >= DAY:
            start = instant(day)
        if duration:
            rows = self._day_bars(contract, day, duration)
            return Block(
                start if duration >= DAY else start - start % duration, len(rows), lambda: rows
            )
        where = {"contract": contract, "day": day.isoformat()}
        plain = not any(
            self.faults.find_rules(kind, **where) for kind in ("empty", "short", "duplicate")
        )
        if plain and day < self.today:
            count = self.world.tick_count(contract, day)
        else:
            count = len(self.day_ticks(contract, day))
        return Block(start, count, lambda: self.day_ticks(contract, day))

    def _day_bars(self, contract: str, day: date, duration: int) -> list[Row]:
        if self._bars_under != self.faults.version:
            self._bars_under = self.faults.version
            self._bars.clear()
        key = (contract, day, duration)
        if key in self._bars:
            return self._bars[key]
        world = self.world
        known = world.contract(contract)
        before = world.open_interest(known, world.previous(day)) if known else 0
        rows = world.day_bars(contract, day, duration)
        if rows is None:
            rows = bars_of(self.day_ticks(contract, day), duration, day, before)
        elif day >= self.today:
            rows = [row for row in rows if row["datetime"] <= self.now]
        if day < self.today:
            self._bars[key] = rows
        return rows


def bars_of(ticks: list[Row], duration: int, day: date, open_interest: int) -> list[Row]:
    """Bars of one trading day; days begin at 00:00 of it, others at their clock's multiple."""
    bars: list[Row] = []
    volume, interest = 0, open_interest
    for tick in ticks:
        stamp = tick["datetime"]
        start = instant(day) if duration >= DAY else stamp - (stamp + 8 * 3600 * NS) % duration
        price, lots = tick["last_price"], tick["volume"] - volume
        volume = tick["volume"]
        if not bars or bars[-1]["datetime"] != start:
            bars.append(
                {
                    **{"datetime": start, "open": price, "high": price, "low": price},
                    **{"close": price, "volume": 0, "open_oi": interest, "close_oi": interest},
                }
            )
        bar, interest = bars[-1], tick["open_interest"]
        bar["high"], bar["low"] = max(bar["high"], price), min(bar["low"], price)
        bar["close"], bar["close_oi"] = price, interest
        bar["volume"] += lots
    return bars


# ---------------------------------------------------------------------- what a fault does to rows
Option = Callable[[str], str]


def _empty(_rows: list[Row], _option: Option) -> list[Row]:
    return []


def _short(rows: list[Row], option: Option) -> list[Row]:
    return rows[: int(option("keep"))]


def _duplicate(rows: list[Row], _option: Option) -> list[Row]:
    return [copy for row in rows for copy in (row, dict(row))]


def _late(rows: list[Row], option: Option) -> list[Row]:
    """The row arrives `by` rows later than it should, with the stamp that it has."""
    at, to = int(option("row")), int(option("row")) + int(option("by"))
    if to >= len(rows):
        return rows
    return [*rows[:at], *rows[at + 1 : to + 1], rows[at], *rows[to + 1 :]]


def _one_level(rows: list[Row], _option: Option) -> list[Row]:
    deeper = {
        f"{s}_{w}{n}" for s in ("bid", "ask") for w in ("price", "volume") for n in range(2, 6)
    }
    return [{name: v for name, v in row.items() if name not in deeper} for row in rows]


def _revise(rows: list[Row], option: Option) -> list[Row]:
    """All prices of the day move by whole steps of the smallest difference that the book shows."""
    if not rows:
        return rows
    step = round(abs(rows[0]["ask_price1"] - rows[0]["bid_price1"]) / 2, 4) * int(option("by"))
    prices = [name for name in rows[0] if "price" in name]
    moved = []
    for row in rows:
        new = dict(row)
        for name in prices:
            if isinstance(new.get(name), int | float):
                new[name] = round(new[name] + step, 4)
        moved.append(new)
    return moved


CHANGES: dict[str, Callable[[list[Row], Option], list[Row]]] = {
    "empty": _empty,
    "short": _short,
    "duplicate": _duplicate,
    "late": _late,
    "one-level": _one_level,
    "revise-ticks": _revise,
}
