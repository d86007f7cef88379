"""Base of a simulated futures market: calendar, varieties, sessions, contracts.

Neither it nor its subclasses know a clock, a fault or a protocol. Rows are those of the wire:
prices are floats (JSON numbers), a book level without an order has price "" and volume 0.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from loaders.sandbox.tq.varieties import VARIETIES, Variety, nanoseconds
from loaders.sandbox.world.clock import CLOSE_OF_DAY
from loaders.sandbox.world.market import exchange_days
from quotemill.errors import UsageError

Row = dict[str, Any]
Switches = list[tuple[date, str]]

LISTED_AHEAD = timedelta(days=150)
# the servers list no contract of an earlier delivery; the client knows those by itself
FIRST_LISTED = (2020, 10)
FRIDAYS = {"second friday": 7, "third friday": 14}


@dataclass(frozen=True)
class Contract:
    """A contract; `listed` and `expires` are its first and last trading day."""

    code: str
    variety: Variety
    year: int
    month: int
    listed: date
    expires: date

    def trades_on(self, day: date) -> bool:
        return self.listed <= day <= self.expires

    @property
    def is_listed(self) -> bool:
        """Whether the servers describe it."""
        return (self.year, self.month) >= FIRST_LISTED


class Exchange:
    """A market from `first` to `last`; the clock starts at the close of `end`.

    With `holidays` every other weekday is a trading day; without, the published Shanghai calendar
    decides. Subclasses give rows and main contracts.
    """

    def __init__(
        self,
        varieties: Iterable[str],
        first: date,
        end: date,
        last: date,
        holidays: Sequence[date] | None = None,
    ) -> None:
        if end < first:
            raise UsageError(f"a market that starts on {first} cannot end on {end}")
        chosen = list(varieties)
        unknown = [code for code in chosen if code not in VARIETIES]
        if unknown:
            raise UsageError(
                f"unknown product: {', '.join(unknown)}",
                hint="Choose from: " + ", ".join(VARIETIES),
            )
        self.varieties = {code: VARIETIES[code] for code in chosen}
        self._set_calendar(first, end, last, holidays)
        self._contracts = {code: self._list(v) for code, v in self.varieties.items()}
        self._by_code = {c.code: c for listed in self._contracts.values() for c in listed}
        self._mains: dict[str, Switches] = {}

    def open_interest(self, contract: Contract, day: date) -> int:
        """Open interest at the close of a day."""
        raise NotImplementedError

    def tick_count(self, contract: str, day: date) -> int:
        """Number of rows of `day_ticks`, without making them."""
        raise NotImplementedError

    def day_ticks(self, contract: str, day: date) -> list[Row]:
        """Ticks of a contract's trading day, ascending; the caller must not change them."""
        raise NotImplementedError

    def day_bars(self, contract: str, day: date, duration: int) -> list[Row] | None:  # noqa: ARG002
        """Recorded bars (duration in ns) of a day; None if they are made from its ticks."""
        return None

    def first_id(self, contract: str) -> int:  # noqa: ARG002
        """Number of the first tick of this world in the service."""
        return 0

    def _set_calendar(
        self, first: date, end: date, last: date, holidays: Sequence[date] | None
    ) -> None:
        # the client takes the years of the first and the last holiday as the range of the calendar
        opening, closing = date(first.year - 1, 1, 1), date(last.year + 1, 12, 31)
        weekdays = [
            day
            for n in range((closing - opening).days + 1)
            if (day := opening + timedelta(days=n)).weekday() < 5
        ]
        if holidays is None:
            trading = set(exchange_days(opening, closing))
        else:
            trading = set(weekdays) - {*holidays, opening}
        self.calendar = [day for day in weekdays if day in trading]
        closed = {day for day in weekdays if day not in trading}
        self.holidays = sorted({*closed, opening, date(closing.year, 1, 1)})
        self.days = [day for day in self.calendar if first <= day <= last]
        past = [day for day in self.days if day <= end]
        if not past:
            raise UsageError(f"no trading day between {first} and {end}")
        self.first, self.end = self.days[0], datetime.combine(past[-1], CLOSE_OF_DAY)

    def contracts(self, variety: str) -> list[Contract]:
        """Contracts that trade on any day of this world, by delivery month."""
        return list(self._contracts[variety])

    def contract(self, code: str) -> Contract | None:
        return self._by_code.get(code)

    def previous(self, day: date) -> date:
        """The trading day before, even before the first of this world."""
        return self.calendar[bisect_left(self.calendar, day) - 1]

    def sessions(self, variety: str, day: date) -> list[tuple[int, int]]:
        """Start and end of each session of a trading day, in ns.

        The night session is on the evening of the trading day before; without one if a public
        holiday is in between.
        """
        hours, eve = self.varieties[variety], self.previous(day)
        between = [eve + timedelta(days=n) for n in range(1, (day - eve).days)]
        is_weekend = all(each.weekday() >= 5 for each in between)
        sessions = [(eve, *each) for each in (hours.night if is_weekend else ())]
        sessions += [(day, *each) for each in hours.day]
        return [(nanoseconds(on, start), nanoseconds(on, end)) for on, start, end in sessions]

    def _list(self, variety: Variety) -> list[Contract]:
        contracts = []
        for number in range(self.first.year * 12 - 2, (self.days[-1].year + 2) * 12):
            year, month = number // 12, number % 12 + 1
            if month not in variety.months:
                continue
            expires = self._expiry(variety, year, month)
            if expires is None:
                continue
            listed = self.calendar[bisect_left(self.calendar, expires - LISTED_AHEAD)]
            if expires >= self.first and listed <= self.days[-1]:
                digits = f"{year % 100:02d}{month:02d}"
                code = variety.code + (digits[1:] if variety.exchange == "CZCE" else digits)
                contracts.append(Contract(code, variety, year, month, listed, expires))
        return contracts

    def _expiry(self, variety: Variety, year: int, month: int) -> date | None:
        """Last trading day; None beyond the calendar."""
        start = date(year, month, 1)
        position = bisect_left(self.calendar, start)
        if variety.expiry == "fifteenth":
            position = bisect_left(self.calendar, date(year, month, 15))
        elif variety.expiry in FRIDAYS:
            friday = start + timedelta(days=(4 - start.weekday()) % 7 + FRIDAYS[variety.expiry])
            position = bisect_left(self.calendar, friday)
        else:
            position += 9
        known = start >= self.calendar[0] and position < len(self.calendar)
        return self.calendar[position] if known else None

    def main_table(self, variety: str) -> Switches:
        """(first trading day, contract), ascending, for all days of this world."""
        return list(self._mains[variety])

    def main_on(self, variety: str, day: date) -> str | None:
        return find_main(self._mains[variety], day)


def find_main(switches: Switches, day: date) -> str | None:
    """The main contract of a day in a table of switches; None before the first."""
    position = bisect_right(switches, day, key=lambda row: row[0])
    return switches[position - 1][1] if position else None
