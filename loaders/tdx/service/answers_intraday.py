"""Shapes of what has a time of day: intraday bars, and the minute points of one day.

Labels are the exchange's wall clock at the end of a bar. They come through as delivered: the bar of
11:30 may be labelled 13:00, and whether it is can change between two answers.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import cache
from typing import Any

from loaders.tdx.service.answers import (
    BarShape,
    Kind,
    WrongShape,
    bar_columns,
    check_fields,
    in_order,
    read_columns,
    read_day,
    read_list,
)

MINUTES_OF = {"minute1": 1, "minute5": 5, "minute15": 15, "minute30": 30, "hour": 60}
NOON = "13:00"  # what 11:30 is called at times
CLOCK = re.compile(r"T([01][0-9]|2[0-3]):[0-5][0-9]:00")


@cache
def labels(period: str) -> tuple[str, ...]:
    """The labels of a complete day: ends of bars as HH:MM, 11:30 by its own name."""
    size = MINUTES_OF[period]
    sessions = ((9 * 60 + 30, 11 * 60 + 30), (13 * 60, 15 * 60))
    ends = [at for start, end in sessions for at in range(start + size, end + 1, size)]
    return tuple(f"{at // 60:02}:{at % 60:02}" for at in ends)


@dataclass(frozen=True, slots=True)
class TimedBars:
    """Bars of one to sixty minutes as columns, ascending.

    `stamps` are the first 19 characters of the label as delivered, '2024-11-08T09:31:00', exchange
    wall clock at the bar's end, noon not repaired. Prices and amount in li (0.001 yuan; indices:
    0.001 point), volume in hands of 100 shares, the odd shares of each bar cut off; an index has
    turnover there, in a unit that is not shares. `fetched_at` is the moment the request was sent,
    UTC. Bars of one label that contradict each other are all kept; loaders.tdx.bars.plausibility rejects
    them.
    """

    stamps: list[str]
    open: list[int]
    high: list[int]
    low: list[int]
    close: list[int]
    volume: list[int]
    amount: list[int]
    up: list[int]
    down: list[int]
    source_route: str
    fetched_at: datetime
    period: str = "minute1"

    def __len__(self) -> int:
        return len(self.stamps)

    def row(self, index: int) -> dict[str, Any]:
        """One bar as plain values, its stamp under `stamp`."""
        numbers = {name: getattr(self, name)[index] for name in TIMED_COLUMNS[1:]}
        return {"stamp": self.stamps[index]} | numbers

    def take(self, indices: Iterable[int]) -> "TimedBars":
        """The bars at `indices`, in that order."""
        keep = list(indices)
        columns = {name: [getattr(self, name)[i] for i in keep] for name in TIMED_COLUMNS}
        return TimedBars(
            **columns,
            source_route=self.source_route,
            fetched_at=self.fetched_at,
            period=self.period,
        )


TIMED_COLUMNS = tuple(
    f.name for f in fields(TimedBars) if f.name not in ("source_route", "fetched_at", "period")
)


@dataclass(frozen=True, slots=True)
class MinutePoints:
    """Price and volume of the minutes of one day, from 09:31 on without a gap.

    `labels` are ends of minutes, 'HH:MM'. `price` in li as delivered: ten times too large for
    funds. `number` in hands; of an index turnover in 10,000 yuan.
    """

    day: date
    labels: list[str]
    price: list[int]
    number: list[int]
    source_route: str
    fetched_at: datetime

    def __len__(self) -> int:
        return len(self.labels)


def read_timed_bars(
    route: str,
    data: Any,
    *,
    shape: BarShape,
    fetched_at: datetime,
    unknown: Counter[str],
    oddities: Counter[str],
) -> TimedBars:
    """Intraday bars, ascending, each once unless bars of one label contradict each other."""
    times, *numbers = bar_columns(route, data, shape, unknown)
    stamps = read_stamps(route, times)
    if stamps and {s[10:] for s in stamps} == {"T15:00:00"} and stamps[0][:10] != stamps[-1][:10]:
        rule = f"one bar a day is not {shape.period}"
        raise WrongShape(route, None, "Time", rule)
    columns: dict[str, Any] = dict(zip(TIMED_COLUMNS, [stamps, *numbers], strict=True))
    bars = TimedBars(**columns, source_route=route, fetched_at=fetched_at, period=shape.period)
    keep = in_order(route, stamps, numbers, oddities)
    return bars if keep is None else bars.take(keep)


def read_stamps(route: str, times: list[str]) -> list[str]:
    """The wall clock of the stamps, to the minute; what follows is the server's zone."""
    stamps = [text[:19] for text in times]
    wrong = {clock for clock in {stamp[10:] for stamp in stamps} if not CLOCK.fullmatch(clock)}
    if wrong:
        index = next(i for i, stamp in enumerate(stamps) if stamp[10:] in wrong)
        raise WrongShape(route, index, "Time", f"{stamps[index]!r} is no minute of a day")
    for text in {stamp[:10] for stamp in stamps}:
        try:
            read_day(route, None, "Time", text)
        except WrongShape:
            index = next(i for i, stamp in enumerate(stamps) if stamp[:10] == text)
            read_day(route, index, "Time", text)
    return stamps


def read_minute_points(
    route: str,
    data: Any,
    *,
    day: date | None,
    fetched_at: datetime,
    unknown: Counter[str],
    oddities: Counter[str],
) -> MinutePoints:
    """The minutes of `day`, or with None of the day that the answer names.

    The service counts the labels itself, so anything but an unbroken row of them from 09:31 on
    refuses the answer, as does a price that is not above 0.
    """
    check_fields(route, None, data, {"Count": int, "date": str}, {"List"}, unknown)
    named = data["date"]
    answered = read_day(route, None, "date", f"{named[:4]}-{named[4:6]}-{named[6:]}")
    if day is not None and answered != day:
        raise WrongShape(route, None, "date", f"{named!r} is not {day}")
    required: dict[str, Kind] = {"Time": str, "Price": int, "Number": int}
    columns = read_columns(route, "List", read_list(route, data, "List"), required, unknown)
    keep = in_order(route, columns[0], columns[1:], oddities)
    if keep is not None:
        columns = [[column[i] for i in keep] for column in columns]
    found, price, number = columns
    whole = labels("minute1")
    for index, label in enumerate(found):
        if index >= len(whole) or label != whole[index]:
            raise WrongShape(route, index, "List.Time", f"{label!r} breaks the row of minutes")
        if price[index] <= 0:
            raise WrongShape(route, index, "List.Price", f"{price[index]} is not above 0")
        if number[index] < 0:
            raise WrongShape(route, index, "List.Number", f"{number[index]} is negative")
    return MinutePoints(answered, found, price, number, route, fetched_at)
