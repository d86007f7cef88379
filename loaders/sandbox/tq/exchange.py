"""What a simulated futures market has in any case: a calendar, varieties, their sessions and contracts.

Nothing here or in its worlds knows a clock, a fault or a protocol. Rows are what the wire carries: prices
are floats (JSON numbers), a book level without an order has price "" and volume 0.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from loaders.errors import UsageError
from loaders.sandbox.tq.varieties import VARIETIES, Variety, instant
from loaders.sandbox.world.clock import CLOSE_OF_DAY
from loaders.sandbox.world.market import exchange_days

Row = dict[str, Any]
Switches = list[tuple[date, str]]

LISTED_AHEAD = timedelta(days=150)
FRIDAYS = {"second friday": 7, "third friday": 14}


@dataclass(frozen=True)
class Contract:
    """`listed` and `expires` are its first and last trading day."""

    code: str
    variety: Variety
    year: int
    month: int
    listed: date
    expires: date

    def trades_on(self, day: date) -> bool:
        return self.listed <= day <= self.expires


class Exchange:
    """`days` are the trading days of the world, to `last`; the clock starts at the close of `end`.

    With `holidays` every weekday that is not among them trades; without, the published Shanghai
    calendar decides. Subclasses give rows and main contracts.
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
            raise UsageError(f"a market that begins on {first} cannot end on {end}")
        chosen = list(varieties)
        unknown = [code for code in chosen if code not in VARIETIES]
        if unknown:
            known = "there are " + ", ".join(VARIETIES)
            raise UsageError(f"no variety {', '.join(unknown)} in the sandbox", hint=known)
        self.varieties = {code: VARIETIES[code] for code in chosen}
        self._set_calendar(first, end, last, holidays)
        self._contracts = {code: self._list(v) for code, v in self.varieties.items()}
        self._by_code = {c.code: c for listed in self._contracts.values() for c in listed}
        self._mains: dict[str, Switches] = {}

    # ------------------------------------------------------------------ what a world gives
    def open_interest(self, contract: Contract, day: date) -> int:
        """At the close of a day."""
        raise NotImplementedError

    def tick_count(self, contract: str, day: date) -> int:
        """How many rows `day_ticks` gives, without making them."""
        raise NotImplementedError

    def day_ticks(self, contract: str, day: date) -> list[Row]:
        """The ticks of a contract's trading day, ascending; not to be changed by the caller."""
        raise NotImplementedError

    def day_bars(self, contract: str, day: date, duration: int) -> list[Row] | None:  # noqa: ARG002
        """Recorded bars (duration in ns) of a trading day; None: they are made of its ticks."""
        return None

    def first_id(self, contract: str) -> int:  # noqa: ARG002
        """The number that the service gave the first tick of this world."""
        return 0

    def _set_calendar(
        self, first: date, end: date, last: date, holidays: Sequence[date] | None
    ) -> None:
        # the client takes the years of the first and the last holiday for the reach of the calendar
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

    # ------------------------------------------------------------------ contracts and sessions
    def contracts(self, variety: str) -> list[Contract]:
        """Those that trade on any day of this world, by delivery month."""
        return list(self._contracts[variety])

    def contract(self, code: str) -> Contract | None:
        return self._by_code.get(code)

    def previous(self, day: date) -> date:
        """The trading day before, also before the first of this world."""
        return self.calendar[bisect_left(self.calendar, day) - 1]

    def sessions(self, variety: str, day: date) -> list[tuple[int, int]]:
        """Start and end of each session of a trading day, in ns. The night belongs to the evening of
        the trading day before, and is left out where a public holiday lies between."""
        hours, eve = self.varieties[variety], self.previous(day)
        between = [eve + timedelta(days=n) for n in range(1, (day - eve).days)]
        found = []
        if all(date_.weekday() >= 5 for date_ in between):
            found += [(instant(eve, start), instant(eve, end)) for start, end in hours.night]
        return found + [(instant(day, start), instant(day, end)) for start, end in hours.day]

    def _list(self, variety: Variety) -> list[Contract]:
        found = []
        for number in range(self.first.year * 12 - 2, (self.days[-1].year + 2) * 12):
            year, month = number // 12, number % 12 + 1
            if month not in variety.months:
                continue
            expires = self._expiry(variety, year, month)
            if expires is None:
                continue
            listed = self.calendar[bisect_left(self.calendar, expires - LISTED_AHEAD)]
            if expires >= self.first and listed <= self.days[-1]:
                code = f"{variety.code}{year % 100:02d}{month:02d}"
                found.append(Contract(code, variety, year, month, listed, expires))
        return found

    def _expiry(self, variety: Variety, year: int, month: int) -> date | None:
        """None where the calendar does not reach."""
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

    # ------------------------------------------------------------------ main contracts
    def main_table(self, variety: str) -> Switches:
        """(first trading day, contract), ascending, over all days of this world."""
        return list(self._mains[variety])

    def main_on(self, variety: str, day: date) -> str | None:
        return held(self._mains[variety], day)


def held(switches: Switches, day: date) -> str | None:
    """The contract of a table of switches on a day; None before its first."""
    position = bisect_right(switches, day, key=lambda row: row[0])
    return switches[position - 1][1] if position else None
