"""Days of minutes that are due, and whether the minutes of a day fit its day bar.

Minutes are bars of one or five minutes here (`period`: minute1 or minute5).

A day is due if it has a day bar and no final minute at 15:00, so later loads fill gaps. Where day
bars cannot decide, the days of the calendar are due: for a code without any day bar, and for days
after the newest day bar of all given codes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
import psycopg

from loaders.tdx.bars import records, stored_bars
from loaders.tdx.bars.records import HAND, PRICES, Ints, Records
from loaders.tdx.bars.tick_days import DayBar
from loaders.tdx.queries import query
from loaders.tdx.tables import CLOSING, KLINE_MINUTE, KLINE_PERIOD
from loaders.trading_time import close_of
from loaders.warehouse.distribution import relate_codes
from loaders.warehouse.tables import LandedTable

# share of a day's volume, which is a sum of many single floats
SUM_TOLERANCE = 1e-4
SUMMED = (*PRICES, "amount")

SECOND_OF_AFTERNOON = timedelta(hours=-2, minutes=1)  # 13:01, from the close


@dataclass(frozen=True, slots=True)
class Stored:
    """The newest day with final minutes.

    count: number of minutes
    unit: the coarsest unit of their volumes
    shares, hands: sums of their volumes; a minute's odd shares count as no hand
    sums: sum of each of SUMMED
    """

    day: date
    count: int
    unit: int
    shares: int
    hands: int
    sums: tuple[int, ...]


@dataclass
class Wanted:
    """Days of a code that are due, and what is stored of it.

    days: due days, each with its finished day bar if one is stored
    traded: due days that a day bar proves to have traded
    with_1301: due days that are already stored whole, with a minute 13:01
    newest: newest day with final minutes
    stored: what is stored of it, if days are due
    """

    days: dict[date, DayBar | None] = field(default_factory=dict)
    traded: set[date] = field(default_factory=set)
    with_1301: set[date] = field(default_factory=set)
    newest: date | None = None
    stored: Stored | None = None


@dataclass(frozen=True)
class _Landed:
    """Where bars of a period land: a table, that of several periods or of this one alone."""

    table: LandedTable
    period: str | None = None

    def query(self, conn: psycopg.Connection, name: str, place: str, **parts: str) -> bytes:
        """A query of these bars; `place`: of the codes in it."""
        return query(
            name,
            table=self.table.qualified,
            period=f" and k.period = '{self.period}'" if self.period else "",
            codes=relate_codes(conn, self.table.qualified, place),
            **parts,
        )


_LANDED = {"minute1": _Landed(KLINE_MINUTE), "minute5": _Landed(KLINE_PERIOD, "minute5")}


def wanted(
    conn: psycopg.Connection,
    codes: Sequence[str],
    days: Sequence[date],
    *,
    period: str,
    again: bool,
) -> dict[str, Wanted]:
    """The due ones of `days`, by code.

    days: ascending
    again: include days that are stored as final
    """
    landed, by_code = _LANDED[period], {code: Wanted() for code in codes}
    known = stored_bars.read_stored(conn, landed.table, codes, landed.period)
    for code, stored in known.items():
        by_code[code].newest = stored.newest
    newest = stored_bars.newest_days(conn, codes)
    if not days:
        return by_code
    for code, day, *bar, is_final in _bars(conn, landed, codes, days, again):
        by_code[code].days[day] = DayBar(*bar) if is_final else None
        by_code[code].traded.add(day)
    last = max(newest.values(), default=None)
    unknown = [
        (code, day)
        for code in codes
        for day in days
        if code not in newest or (last is not None and day > last)
    ]
    if unknown and not again:
        unknown_codes, unknown_days = {code for code, _ in unknown}, {day for _, day in unknown}
        ended = set(_read_ending(conn, landed, sorted(unknown_codes), sorted(unknown_days)))
        unknown = [pair for pair in unknown if pair not in ended]
    for code, day in unknown:
        by_code[code].days.setdefault(day, None)
    if again:
        for code, day in _read_ending(conn, landed, codes, days, offset=SECOND_OF_AFTERNOON):
            by_code[code].with_1301.add(day)
    else:
        due = [code for code in codes if by_code[code].days]
        for code, stored_day in _read_newest_days(conn, landed, due):
            by_code[code].stored = stored_day
    return by_code


def _bars(
    conn: psycopg.Connection,
    landed: _Landed,
    codes: Sequence[str],
    days: Sequence[date],
    again: bool,
) -> list[tuple[Any, ...]]:
    """Day bars of days without a final minute 15:00; with `again`, of all days."""
    rows = conn.execute(
        query("due_minute_days", ending=_ending_query(conn, landed).decode()),
        {
            "codes": list(codes),
            "ends": [close_of(day) for day in days],
            "again": again,
            "first": days[0],
            "last": days[-1],
            "span": (days[-1] - days[0]).days + 1,
        },
    ).fetchall()
    known = set(days)
    return [row for row in rows if row[1] in known]


def _read_ending(
    conn: psycopg.Connection,
    landed: _Landed,
    codes: Sequence[str],
    days: Sequence[date],
    *,
    offset: timedelta = timedelta(0),
) -> list[tuple[str, date]]:
    """Days with a final minute that ends at the close plus `offset`."""
    ends = [close_of(day) + offset for day in days]
    text = _ending_query(conn, landed, "is_final" if offset else CLOSING)
    return conn.execute(text, {"codes": list(codes), "ends": ends}).fetchall()


def _ending_query(conn: psycopg.Connection, landed: _Landed, condition: str = CLOSING) -> bytes:
    return landed.query(conn, "ending_minutes", "%(codes)s", condition=condition)


def _read_newest_days(
    conn: psycopg.Connection, landed: _Landed, codes: Sequence[str]
) -> list[tuple[str, Stored]]:
    sums = ", ".join(f"coalesce(sum(k.{name}), 0)::bigint as {name}" for name in SUMMED)
    rows = conn.execute(landed.query(conn, "newest_minute_days", "%s", sums=sums), (list(codes),))
    return [
        (code, Stored(day, count, unit, shares, hands, tuple(sums)))
        for code, day, count, unit, shares, hands, *sums in rows
    ]


def same_as_stored(minutes: Records, stored: Stored) -> bool:
    """Whether a day has the stored count of minutes and sum of each column.

    Volumes are compared in the coarser unit. The same in a finer unit is not the same.
    """
    sums = tuple(int(np.maximum(minutes[name], 0).sum()) for name in SUMMED)
    unit = int(minutes["unit"].max(initial=1))
    if (len(minutes), sums) != (stored.count, stored.sums) or unit < stored.unit:
        return False
    shares = _shares(minutes)
    if unit == HAND:
        return int((shares // HAND).sum()) == stored.hands
    return int(shares.sum()) == stored.shares


def _shares(minutes: Records) -> Ints:
    return np.asarray(minutes["volume"] * minutes["unit"])


def read_day_bars(
    conn: psycopg.Connection, code: str, days: Sequence[date]
) -> dict[date, DayBar | None]:
    """The finished day bars of a code on some days."""
    rows = conn.execute(
        "select trade_date, low, high, volume, coalesce(volume_unit, 100) from raw_tdx.kline_daily"
        " where code = %s and trade_date = any(%s) and is_final and volume > 0",
        (code, list(days)),
    )
    return {day: DayBar(*numbers) for day, *numbers in rows}


def find_misfits(
    minutes: Records,
    bars: Mapping[date, DayBar | None],
    may_lack: Mapping[date, float] = MappingProxyType({}),
) -> set[date]:
    """Days whose minutes have more shares than the day bar, or too few to be odd ones cut off.

    may_lack: the share of the day bar that they may lack more, by day
    """
    return {
        day
        for day, bar in bars.items()
        if bar is not None
        and not _fits(minutes[minutes["day"] == records.to_number(day)], bar, may_lack.get(day, 0))
    }


def _fits(minutes: Records, bar: DayBar, may_lack: float) -> bool:
    """Whether the shares of minutes and of their day can be the same.

    What counts in hands may have up to 99 shares more.
    """
    if not len(minutes):
        return True
    shares, cut_off = cap_shares(minutes), int((minutes["unit"] - 1).sum())
    small = bar.small_volume
    if small is not None and shares < (small + 1) * HAND:
        return True
    tolerance = SUM_TOLERANCE * bar.shares
    least = (1 - may_lack) * bar.shares - tolerance - cut_off
    return least <= shares <= bar.shares + tolerance + bar.unit - 1


def cap_shares(minutes: Records) -> int:
    """The shares of a day, those of the service's minutes limited to what turnover can pay for."""
    shares = _shares(minutes)
    in_hands = minutes["unit"] == HAND
    if not minutes["amount"][in_hands].any():
        return int(shares.sum())
    payable = minutes["amount"] / np.maximum(minutes["low"], 1) / HAND
    most = (np.floor(payable * (1 + 1e-5)) + 1) * HAND
    return int(np.where(in_hands, np.minimum(shares, most), shares).sum())
