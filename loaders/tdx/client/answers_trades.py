"""Shapes of ticks: one for the routes of a day, another for the route of many days.

Ticks have no key and equal ones are legitimate, so only their order tells them apart. An answer
that is not in the order of time is refused, never sorted.
"""

import itertools
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from loaders.tdx.client.answers import read_day
from loaders.tdx.client.answers_intraday import read_stamps
from loaders.tdx.client.reply import NUMBER, Columns, Kind, Reply, WrongShape

# from the call auction to the end of trading after hours
FIRST_CLOCK, LAST_CLOCK = "T09:15:00", "T15:30:00"
SIDES = (0, 1, 2)
SMALL = 2**31
TICK_FIELDS: dict[str, Kind] = {
    "Time": str,
    **dict.fromkeys(("Price", "Volume", "Status", "Number"), int),
}
FULL_FIELDS: dict[str, Kind] = {
    "time": str,
    "price": NUMBER,
    "volume": int,
    "status": int,
    "number": int,
}
FULL_HEAD: dict[str, Kind] = {
    "code": str,
    "count": int,
    "start_date": str,
    "end_date": str,
    "limit": int,
    "truncated": bool,
}


@dataclass(frozen=True, slots=True)
class Ticks(Columns):
    """The ticks of one day as columns, in the order of trading.

    stamps: exchange wall clock to the minute, '2024-11-08T09:31:00'
    price: li as delivered, ten times too large for funds
    volume: hands
    side: 0 buy, 1 sell, 2 auction or neutral; the source may send other values
    order_count: 0 for every day but the current one
    fetched_at: when the request was sent, UTC
    """

    stamps: list[str]
    price: list[int]
    volume: list[int]
    side: list[int]
    order_count: list[int]
    source_route: str
    fetched_at: datetime

    def __len__(self) -> int:
        return len(self.stamps)


def read_ticks(reply: Reply, day: date) -> Ticks:
    """The ticks of `day`. Raises WrongShape if one is of another day."""
    reply.head({"Count": int}, {"List"})
    ticks = _check_ticks(reply, reply.columns("List", TICK_FIELDS))
    other = {stamp[:10] for stamp in ticks.stamps} - {day.isoformat()}
    if other:
        raise reply.wrong(None, "Time", f"{min(other)} is not {day}")
    return ticks


def read_ticks_of_days(reply: Reply, code: str, first: date, last: date) -> dict[date, Ticks]:
    """Ticks of the complete days, by day; these may be fewer than were asked for.

    The last day of a truncated answer is left out. Raises WrongShape for another code or range, and
    where the days with ticks are not those listed as covered.
    """
    reply.head(FULL_HEAD, {"list", "covered_dates"})
    for name, wanted in (("code", code), ("start_date", str(first)), ("end_date", str(last))):
        if reply.data[name] != wanted:
            raise reply.wrong(None, name, f"{reply.data[name]!r} is not {wanted}")
    covered = {
        _read_covered_day(reply, index, text, first, last)
        for index, text in enumerate(reply.rows("covered_dates"))
    }
    stamps, prices, *rest = reply.columns("list", FULL_FIELDS)
    ticks = _check_ticks(reply, [stamps, reply.li(prices, "price"), *rest])
    days = {date.fromisoformat(text) for text in {stamp[:10] for stamp in ticks.stamps}}
    if days != covered:
        day = min(days ^ covered)
        raise reply.wrong(None, "covered_dates", f"{day} is covered, or has ticks, not both")
    if reply.data["truncated"]:
        reply.odd("truncated")
        days.discard(max(days, default=last))
    return {day: _select_day(ticks, day) for day in sorted(days)}


def _read_covered_day(reply: Reply, index: int, text: Any, first: date, last: date) -> date:
    if type(text) is not str or len(text) != 8:
        raise reply.wrong(index, "covered_dates", f"{text!r} is not a day like 20190201")
    day = read_day(reply, index, "covered_dates", f"{text[:4]}-{text[4:6]}-{text[6:]}")
    if not first <= day <= last:
        raise reply.wrong(index, "covered_dates", f"{day} lies outside {first} to {last}")
    return day


def _check_ticks(reply: Reply, columns: list[list[Any]]) -> Ticks:
    times, price, volume, side, number = columns
    stamps = read_stamps(reply, times)
    for clock in {stamp[10:] for stamp in stamps}:
        if not FIRST_CLOCK <= clock <= LAST_CLOCK:
            raise reply.wrong(None, "Time", f"no trade can happen at {clock[1:6]}")
    _refuse_disorder(reply.route, stamps)
    for name, column, least in (("Price", price, 1), ("Volume", volume, 0)):
        if column and min(column) < least:
            index = next(i for i, value in enumerate(column) if value < least)
            raise reply.wrong(index, name, f"{column[index]} is not at least {least}")
    for name, column in (("Status", side), ("Number", number)):
        if column and not -SMALL <= min(column) <= max(column) < SMALL:
            raise reply.wrong(None, name, "does not fit a 32-bit number")
    for value in set(side) - set(SIDES):
        reply.odd(f"unknown_side.{value}", side.count(value))
    return Ticks(stamps, price, volume, side, number, reply.route, reply.fetched_at)


def _refuse_disorder(route: str, stamps: list[str]) -> None:
    if any(before > after for before, after in itertools.pairwise(stamps)):
        index = next(i for i in range(1, len(stamps)) if stamps[i - 1] > stamps[i])
        raise WrongShape(route, index, "Time", f"{stamps[index]} comes after {stamps[index - 1]}")


def _select_day(ticks: Ticks, day: date) -> Ticks:
    start = bisect_left(ticks.stamps, f"{day}T")
    return ticks.take(range(start, bisect_right(ticks.stamps, f"{day}U")))
