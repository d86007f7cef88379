"""Shapes of ticks: three routes in one spelling, and the route of many days in its own.

Ticks have no key and equal ones are legitimate, so their order is all that tells them apart: an
answer in another order than that of time is refused, never sorted.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from loaders.tdx.service.answers import (
    NUMBER,
    Kind,
    WrongShape,
    check_fields,
    read_columns,
    read_day,
    read_list,
)
from loaders.tdx.service.answers_intraday import read_stamps

# from the call auction to the end of the trading after hours
FIRST_CLOCK, LAST_CLOCK = "T09:15:00", "T15:30:00"
SIDES = (0, 1, 2)
SMALL = 2**31
TICK_FIELDS: dict[str, Kind] = {
    "Time": str, "Price": int, "Volume": int, "Status": int, "Number": int,
}  # fmt: skip
FULL_FIELDS: dict[str, Kind] = {
    "time": str, "price": NUMBER, "volume": int, "status": int, "number": int,
}  # fmt: skip
FULL_HEAD: dict[str, Kind] = {
    "code": str, "count": int, "start_date": str, "end_date": str, "limit": int, "truncated": bool,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ticks:
    """The ticks of one day as columns, in the order of trading.

    `stamps` are to the minute, '2024-11-08T09:31:00', exchange wall clock. `price` in li as
    delivered: ten times too large for funds. `volume` in hands. `side` 0 buy, 1 sell, 2 auction or
    neutral, and what else the source may say. `order_count` is 0 for every day but the current one.
    `fallback` names the route that failed and why, if another stood in for it.
    """

    stamps: list[str]
    price: list[int]
    volume: list[int]
    side: list[int]
    order_count: list[int]
    source_route: str
    fetched_at: datetime
    fallback: str | None = None

    def __len__(self) -> int:
        return len(self.stamps)


COLUMNS = ("stamps", "price", "volume", "side", "order_count")


def read_ticks(
    route: str,
    data: Any,
    *,
    day: date,
    fetched_at: datetime,
    unknown: Counter[str],
    oddities: Counter[str],
) -> Ticks:
    """The ticks of an answer of one day, of which every one must be."""
    check_fields(route, None, data, {"Count": int}, {"List"}, unknown)
    rows = read_list(route, data, "List")
    columns = read_columns(route, "List", rows, TICK_FIELDS, unknown)
    ticks = _ticks(route, columns, fetched_at, oddities)
    other = {stamp[:10] for stamp in ticks.stamps} - {day.isoformat()}
    if other:
        raise WrongShape(route, None, "Time", f"{min(other)} is not {day}")
    return ticks


def read_ticks_of_days(
    route: str,
    data: Any,
    *,
    code: str,
    first: date,
    last: date,
    fetched_at: datetime,
    unknown: Counter[str],
    oddities: Counter[str],
) -> dict[date, Ticks]:
    """Ticks by day: the days that came whole, which may be fewer than were asked for.

    The last day of a truncated answer is left out. An answer for another code or range, or with a
    tick on a day that it does not list as covered, is refused.
    """
    check_fields(route, None, data, FULL_HEAD, {"list", "covered_dates"}, unknown)
    for name, wanted in (("code", code), ("start_date", str(first)), ("end_date", str(last))):
        if data[name] != wanted:
            raise WrongShape(route, None, name, f"{data[name]!r} is not {wanted}")
    covered = [
        _covered(route, index, text, first, last)
        for index, text in enumerate(read_list(route, data, "covered_dates"))
    ]
    rows = read_list(route, data, "list")
    stamps, prices, *rest = read_columns(route, "list", rows, FULL_FIELDS, unknown)
    price = [round(yuan * 1000) for yuan in prices]
    for index, (yuan, li) in enumerate(zip(prices, price, strict=True)):
        if abs(yuan * 1000 - li) > 0.01:
            raise WrongShape(route, index, "price", f"{yuan!r} yuan is not a whole number of li")
    ticks = _ticks(route, [stamps, price, *rest], fetched_at, oddities)
    days = {date.fromisoformat(text) for text in {stamp[:10] for stamp in ticks.stamps}}
    if days != set(covered):
        day = min(days ^ set(covered))
        raise WrongShape(route, None, "covered_dates", f"{day} is covered, or has ticks, not both")
    if data["truncated"]:
        oddities[f"{route}.truncated"] += 1
        days.discard(max(days, default=last))
    return {day: _of_day(ticks, day) for day in sorted(days)}


def joined(route: str, pages: Sequence[Ticks], fallback: str) -> Ticks:
    """Pages of one day, the oldest first, as one; refused if they do not join in time."""
    stamps = list(itertools.chain.from_iterable(page.stamps for page in pages))
    _refuse_disorder(route, stamps)
    columns: dict[str, Any] = {
        name: list(itertools.chain.from_iterable(getattr(page, name) for page in pages))
        for name in COLUMNS[1:]
    }
    sent = min(page.fetched_at for page in pages)
    return Ticks(stamps, **columns, source_route=route, fetched_at=sent, fallback=fallback)


def _covered(route: str, index: int, text: Any, first: date, last: date) -> date:
    if type(text) is not str or len(text) != 8:
        raise WrongShape(route, index, "covered_dates", f"{text!r} is not a day like 20190201")
    day = read_day(route, index, "covered_dates", f"{text[:4]}-{text[4:6]}-{text[6:]}")
    if not first <= day <= last:
        raise WrongShape(route, index, "covered_dates", f"{day} lies outside {first} to {last}")
    return day


def _ticks(
    route: str, columns: list[list[Any]], fetched_at: datetime, oddities: Counter[str]
) -> Ticks:
    times, price, volume, side, number = columns
    stamps = read_stamps(route, times)
    for clock in {stamp[10:] for stamp in stamps}:
        if not FIRST_CLOCK <= clock <= LAST_CLOCK:
            raise WrongShape(route, None, "Time", f"nobody trades at {clock[1:6]}")
    _refuse_disorder(route, stamps)
    for name, column, least in (("Price", price, 1), ("Volume", volume, 0)):
        if column and min(column) < least:
            index = next(i for i, value in enumerate(column) if value < least)
            raise WrongShape(route, index, name, f"{column[index]} is not at least {least}")
    for name, column in (("Status", side), ("Number", number)):
        if column and not -SMALL <= min(column) <= max(column) < SMALL:
            raise WrongShape(route, None, name, "does not fit a 32-bit number")
    for value in set(side) - set(SIDES):
        oddities[f"{route}.unknown_side.{value}"] += side.count(value)
    return Ticks(stamps, price, volume, side, number, route, fetched_at)


def _refuse_disorder(route: str, stamps: list[str]) -> None:
    if any(before > after for before, after in itertools.pairwise(stamps)):
        index = next(i for i in range(1, len(stamps)) if stamps[i - 1] > stamps[i])
        raise WrongShape(route, index, "Time", f"{stamps[index]} comes after {stamps[index - 1]}")


def _of_day(ticks: Ticks, day: date) -> Ticks:
    start = bisect_left(ticks.stamps, f"{day}T")
    stop = bisect_right(ticks.stamps, f"{day}U")
    columns: dict[str, Any] = {name: getattr(ticks, name)[start:stop] for name in COLUMNS}
    return Ticks(**columns, source_route=ticks.source_route, fetched_at=ticks.fetched_at)
