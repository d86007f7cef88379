"""The world as the servers show it: up to a clock, and with the active faults.

A chart is a window of a `Series`: rows numbered without a gap, located by number or by stamp. Days
before that of the clock are counted without being made, so only the rows that are read cost time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from threading import RLock

from loaders.sandbox.faults import FaultPlan
from loaders.sandbox.tq.exchange import Contract, Exchange, Row, Switches, find_main
from loaders.sandbox.tq.faults import read_time
from loaders.sandbox.tq.replay import DAY, start_of_bar
from loaders.sandbox.tq.varieties import CST, NS, nanoseconds
from loaders.sandbox.world.clock import CLOSE_OF_DAY

SETTLED = time(19)
DAMAGE = ("empty", "short", "duplicate", "late")
CUT = ("empty", "short", "duplicate", "lost-ticks")  # faults that change how many ticks a day has


@dataclass(frozen=True)
class Block:
    """The rows of one day: none is older than `start`; `rows` makes them."""

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
        """Number of the last row; -1 without rows."""
        return self._ends[-1] - 1 if self._ends else -1

    def row(self, number: int) -> Row | None:
        return next(iter(self.rows(number, number).values()), None)

    def rows(self, first: int, last: int) -> dict[int, Row]:
        """Existing rows by number, from one number to another, both included."""
        rows: dict[int, Row] = {}
        number, last = max(first, self.first_id), min(last, self.last_id)
        while number <= last:
            place = bisect_right(self._ends, number)
            before = self._ends[place - 1] if place else self.first_id
            part = self._blocks[place].rows()[number - before : last - before + 1]
            rows.update(enumerate(part, number))
            number += len(part)
        return rows

    def locate(self, stamp: int) -> int:
        """Number of the first row at or after `stamp`, or one past the last."""
        place = bisect_right([block.start for block in self._blocks], stamp) - 1
        if place < 0:
            return self.first_id
        before = self._ends[place - 1] if place else self.first_id
        stamps = [row["datetime"] for row in self._blocks[place].rows()]
        return before + bisect_left(stamps, stamp)


class Market:
    """The market at a clock, which is exchange wall clock without a zone."""

    def __init__(self, world: Exchange, faults: FaultPlan, clock: datetime) -> None:
        self.world, self.faults = world, faults
        self._clock = clock
        self._lock = RLock()
        self._made_under: tuple[int, datetime] | None = None
        self._series: dict[tuple[str, int, bool], Series] = {}
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
        """Trading day of the clock; the evening belongs to the next one."""
        evening = self._clock.time() > CLOSE_OF_DAY
        day = self._clock.date() + timedelta(days=1 if evening else 0)
        position = bisect_left(self.world.calendar, day)
        return self.world.calendar[min(position, len(self.world.calendar) - 1)]

    def contracts(self, variety: str) -> list[Contract]:
        """Contracts that were listed up to now."""
        return [c for c in self.world.contracts(variety) if c.listed <= self.today]

    def contract(self, code: str) -> Contract | None:
        contract = self.world.contract(code)
        if contract is None or contract.listed > self.today:
            return None
        return None if self.faults.find_rules("unknown", symbol=code) else contract

    def find_variety(self, symbol: str) -> str | None:
        """Variety of a contract or of a continuous series such as KQ.m@SHFE.cu."""
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
        return find_main(self.main_table(variety), day)

    def day_ticks(self, contract: str, day: date, *, damaged: bool = True) -> list[Row]:
        """Ticks of a day up to now: as sent, or (`damaged=False`) as they should be."""
        kinds = ("revise-ticks", *DAMAGE) if damaged else ("revise-ticks",)
        rows = self.world.day_ticks(contract, day)
        where = {"contract": contract, "day": day.isoformat()}
        for kind in kinds:
            for rule in self.faults.find_rules(kind, **where):
                rows = ROW_FAULTS[kind](rows, rule.option)
        if day >= self.today:
            now = self.now
            rows = [row for row in rows if row["datetime"] <= now]
        return rows

    def is_frozen(self, contract: str) -> bool:
        """Whether a fault keeps new ticks of a contract back now."""
        now = self._clock.time()
        return any(
            read_time(rule.option("from")) <= now < read_time(rule.option("until"))
            for rule in self.faults.find_rules("frozen", contract=contract)
        )

    def sent_ticks(self, contract: str, day: date) -> list[Row]:
        """Ticks of a day as a chart gets them: some may be lost to it alone."""
        rows = self.day_ticks(contract, day)
        for rule in self.faults.find_rules("lost-ticks", contract=contract, day=day.isoformat()):
            rows = rows[: rule.integer("keep")]
        return rows

    def last_quoted_day(self, variety: str) -> date:
        """The day from whose end on quotes stand still; today's where they go on."""
        rules = self.faults.find_rules("still-quotes", variety=variety)
        return min([self.today, *(date.fromisoformat(rule.option("day")) for rule in rules)])

    def settled_days(self) -> list[date]:
        """Days whose settlement prices are published: from 19:00 on."""
        day, over = self.clock.date(), self.clock.time() >= SETTLED
        return [d for d in self.world.days if d < day or (d == day and over)]

    def settlement(self, contract: str, day: date) -> float | None:
        """The day's average price, to the tick; None of a contract that did not trade."""
        known = self.contract(contract)
        ticks = self.day_ticks(contract, day, damaged=False)
        where = {"contract": contract, "day": day.isoformat()}
        if known is None or not ticks or self.faults.find_rules("no-settlement", **where):
            return None
        average, tick = float(ticks[-1]["average"]), known.variety.tick
        return round(round(average / tick) * tick, known.variety.decimals)

    def series(self, symbol: str, duration: int, *, quoted: bool = False) -> Series:
        """Ticks (duration 0) or bars (duration in ns) of a contract or main contract.

        `quoted`: the ticks that became quotes, in place of those that charts get.
        """
        with self._lock:
            under = (self.faults.version, self._clock)
            if self._made_under != under:
                self._made_under = under
                self._series.clear()
            key = (symbol, duration, quoted)
            if key not in self._series:
                self._series[key] = self._make(symbol, duration, quoted)
            return self._series[key]

    def _make(self, symbol: str, duration: int, quoted: bool) -> Series:
        variety, is_main = self.find_variety(symbol), symbol.startswith("KQ.m@")
        if variety is None or (self.faults.find_rules("no-series", variety=variety) and is_main):
            return Series([])
        table = self.main_table(variety) if is_main else []
        last = self.last_quoted_day(variety) if quoted else self.today
        ticks = self.day_ticks if quoted else self.sent_ticks
        blocks = []
        for day in self.world.days:
            if day > last:
                break
            contract = find_main(table, day) if is_main else symbol
            if contract is not None and duration:
                blocks.append(self._bars_of_day(contract, variety, day, duration))
            elif contract is not None:
                blocks.append(self._ticks_of_day(contract, variety, day, ticks))
        first_id = 0 if is_main or duration else self.world.first_id(symbol)
        return Series(blocks, first_id)

    def _bars_of_day(self, contract: str, variety: str, day: date, duration: int) -> Block:
        start = self.world.sessions(variety, day)[0][0]
        rows = self._day_bars(contract, day, duration)
        start = nanoseconds(day) if duration >= DAY else start - start % duration
        return Block(start, len(rows), lambda: rows)

    def _ticks_of_day(
        self, contract: str, variety: str, day: date, ticks: Callable[[str, date], list[Row]]
    ) -> Block:
        start = self.world.sessions(variety, day)[0][0]
        where = {"contract": contract, "day": day.isoformat()}
        plain = not any(self.faults.find_rules(kind, **where) for kind in CUT)
        is_over = plain and day < self.today
        count = self.world.tick_count(contract, day) if is_over else len(ticks(contract, day))
        return Block(start, count, lambda: ticks(contract, day))

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
            ticks = self.day_ticks(contract, day)
            rows = make_bars(
                ticks,
                duration,
                day,
                open_interest=before,
                sessions=world.sessions(known.variety.code, day) if known else (),
                now=self.now,
            )
        elif day >= self.today:
            rows = [row for row in rows if row["datetime"] <= self.now]
        if day < self.today:
            self._bars[key] = rows
        return rows


def make_bars(
    ticks: list[Row],
    duration: int,
    day: date,
    *,
    open_interest: int,
    sessions: Sequence[tuple[int, int]],
    now: int,
) -> list[Row]:
    """Bars of one day from its ticks; `open_interest` is that of the day before.

    As recorded: a bar for every stretch of the sessions up to `now`, which opens at the price of
    the bar before it, the first of a session at its own first price. A tick at the start of a bar
    ends the one before it.
    """
    starts = [nanoseconds(day)]
    if duration < DAY:
        steps = (range(start_of_bar(a, duration, day), b, duration) for a, b in sessions)
        starts = sorted({start for step in steps for start in step if start < now})
    by_bar: dict[int, list[Row]] = {start: [] for start in starts}
    for tick in ticks:
        by_bar[starts[max(bisect_left(starts, tick["datetime"]) - 1, 0)]].append(tick)
    bars: list[Row] = []
    price, volume, interest = ticks[0]["last_price"] if ticks else 0.0, 0, open_interest
    for start, inside in by_bar.items() if ticks else ():
        prices = [tick["last_price"] for tick in inside]
        follows = bars and bars[-1]["datetime"] == start - duration
        if follows or not prices:
            prices.insert(0, price)
        price = prices[-1]
        lots, opened = volume, interest
        if inside:
            volume, interest = inside[-1]["volume"], inside[-1]["open_interest"]
        bars.append(
            {"datetime": start, "open": prices[0], "high": max(prices), "low": min(prices)}
            | {"close": price, "volume": volume - lots, "open_oi": opened, "close_oi": interest}
        )
    return bars


Option = Callable[[str], str]


def _empty(_rows: list[Row], _option: Option) -> list[Row]:
    return []


def _short(rows: list[Row], option: Option) -> list[Row]:
    return rows[: int(option("keep"))]


def _duplicate(rows: list[Row], _option: Option) -> list[Row]:
    return [copy for row in rows for copy in (row, dict(row))]


def _late(rows: list[Row], option: Option) -> list[Row]:
    """The row comes `by` rows later than it should, with its own stamp."""
    at, to = int(option("row")), int(option("row")) + int(option("by"))
    if to >= len(rows):
        return rows
    return [*rows[:at], *rows[at + 1 : to + 1], rows[at], *rows[to + 1 :]]


def _revise(rows: list[Row], option: Option) -> list[Row]:
    """Move all prices of the day by steps of the smallest difference in the book."""
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


ROW_FAULTS: dict[str, Callable[[list[Row], Option], list[Row]]] = {
    "empty": _empty,
    "short": _short,
    "duplicate": _duplicate,
    "late": _late,
    "revise-ticks": _revise,
}
