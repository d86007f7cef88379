"""Shapes of intraday answers: bars of minutes, and the minute points of one day.

Labels are the exchange's wall clock at the end of a bar, as delivered: the bar of 11:30 may be
labelled 13:00 in one answer and 11:30 in the next.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from loaders.tdx.client.answers import COLUMNS, BarColumns, BarShape, bar_columns, read_day
from loaders.tdx.client.reply import NUMBER, Kind, Reply, WrongShape

MINUTES_OF = {"minute1": 1, "minute5": 5, "minute15": 15, "minute30": 30, "hour": 60}
POINT_FIELDS: dict[str, Kind] = {"Time": str, "Price": int, "Number": int}
# of the build of April 2026
MINUTE_FIELDS: dict[str, Kind] = {"time": str, "close": NUMBER, "volume": int}
MINUTE_FIELDS |= dict.fromkeys(("open", "high", "low", "amount"), NUMBER)
UNREAD_MINUTES = {"code", "full_code", "name", "exchange", "asset_type", "interval_minutes"}
UNREAD_MINUTES |= {"session", "source"}
CLOCK = re.compile(r"T([01][0-9]|2[0-3]):[0-5][0-9]:00")


@cache
def labels(period: str) -> tuple[str, ...]:
    """The labels of a complete day: ends of bars as HH:MM, with 11:30, not 13:00."""
    size = MINUTES_OF[period]
    sessions = ((9 * 60 + 30, 11 * 60 + 30), (13 * 60, 15 * 60))
    ends = [at for start, end in sessions for at in range(start + size, end + 1, size)]
    return tuple(f"{at // 60:02}:{at % 60:02}" for at in ends)


@dataclass(frozen=True, slots=True)
class TimedBars(BarColumns):
    """Bars of one to sixty minutes.

    stamps: exchange wall clock at the bar's end, '2024-11-08T09:31:00': the first 19 characters of
        the label as delivered, noon not repaired
    volume: hands of 100 shares, the odd shares of each bar cut off; of an index turnover, in a unit
        that is not shares
    up, down: UpCount and DownCount of the answer
    period: the service's name of it, a key of MINUTES_OF
    """

    stamps: list[str]
    period: str = "minute1"

    def __len__(self) -> int:
        return len(self.stamps)


@dataclass(frozen=True, slots=True)
class MinutePoints:
    """Price and volume of the minutes of one day, from 09:31 on without a gap.

    labels: ends of minutes, 'HH:MM'
    price: li as delivered, ten times too large for funds but from the build of April 2026
    number: hands; of an index turnover in 10,000 yuan
    """

    day: date
    labels: list[str]
    price: list[int]
    number: list[int]
    source_route: str
    fetched_at: datetime

    def __len__(self) -> int:
        return len(self.labels)


def read_timed_bars(reply: Reply, shape: BarShape) -> TimedBars:
    """Intraday bars, ascending; contradicting ones of a label all stay."""
    times, *numbers = bar_columns(reply, shape)
    stamps = read_stamps(reply, times)
    if stamps and {s[10:] for s in stamps} == {"T15:00:00"} and stamps[0][:10] != stamps[-1][:10]:
        raise reply.wrong(None, "Time", f"one bar a day is not {shape.period}")
    stamps, *numbers = reply.in_order([stamps, *numbers])
    return TimedBars(
        stamps,
        shape.period,
        **dict(zip(COLUMNS, numbers, strict=True)),
        source_route=reply.route,
        fetched_at=reply.fetched_at,
    )


def read_stamps(reply: Reply, times: list[str]) -> list[str]:
    """The wall clock of the stamps, to the minute, without the server's zone."""
    stamps = [text[:19] for text in times]
    wrong = {clock for clock in {stamp[10:] for stamp in stamps} if not CLOCK.fullmatch(clock)}
    if wrong:
        index = next(i for i, stamp in enumerate(stamps) if stamp[10:] in wrong)
        raise reply.wrong(index, "Time", f"{stamps[index]!r} is not a minute of a day")
    for text in {stamp[:10] for stamp in stamps}:
        try:
            read_day(reply, None, "Time", text)
        except WrongShape:
            index = next(i for i, stamp in enumerate(stamps) if stamp[:10] == text)
            read_day(reply, index, "Time", text)
    return stamps


def read_minute_points(reply: Reply, day: date | None) -> MinutePoints:
    """The minutes of `day`; with None, those of the day that the answer names.

    The service counts the labels itself: any gap from 09:31 on raises WrongShape.
    """
    if type(reply.data) is dict and "items" in reply.data:
        answered, columns = _points_in_yuan(reply)
        named = str(answered)
    else:
        reply.head({"Count": int, "date": str}, {"List"})
        named = reply.data["date"]
        answered = read_day(reply, None, "date", f"{named[:4]}-{named[4:6]}-{named[6:]}")
        columns = reply.columns("List", POINT_FIELDS)
    if day is not None and answered != day:
        raise reply.wrong(None, "date", f"{named!r} is not {day}")
    clocks, price, number = reply.in_order(columns)
    whole = labels("minute1")
    for index, label in enumerate(clocks):
        if index >= len(whole) or label != whole[index]:
            raise reply.wrong(index, "List.Time", f"{label!r} does not follow the minute before it")
        if price[index] <= 0:
            raise reply.wrong(index, "List.Price", f"{price[index]} is not above 0")
        if number[index] < 0:
            raise reply.wrong(index, "List.Number", f"{number[index]} is negative")
    return MinutePoints(answered, clocks, price, number, reply.route, reply.fetched_at)


def _points_in_yuan(reply: Reply) -> tuple[date, list[list[Any]]]:
    """The day and the minutes' end, price and volume by the build of April 2026."""
    reply.head({"trading_date": str, "count": int}, {"items", *UNREAD_MINUTES})
    answered = read_day(reply, None, "trading_date", reply.data["trading_date"])
    times, close, volume, *_ = reply.columns("items", MINUTE_FIELDS)
    stamps = read_stamps(reply, times)
    if {stamp[:10] for stamp in stamps} - {str(answered)}:
        raise reply.wrong(None, "items.time", f"a minute of another day than {answered}")
    clocks = [stamp[11:16] for stamp in stamps]
    if "11:30" not in clocks:  # the noon bar can have either label
        clocks = ["11:30" if clock == "13:00" else clock for clock in clocks]
    return answered, [clocks, reply.li(close, "items.close"), volume]
