"""Routes of bars and of the minutes of a day.

Raw bars come from /api/kline-all. Intraday ones also come from /api/kline-history, newest first and
in one upstream request. Indices have their own routes. Days, weeks and months of /api/kline-history
and /api/kline come from the third-party page and are never requested.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import date
from typing import Any, TypeVar

from loaders.tdx.client.answers import Bars, BarShape, OtherContract, read_bars, read_factors
from loaders.tdx.client.answers_intraday import (
    MINUTES_OF,
    MinutePoints,
    TimedBars,
    read_minute_points,
    read_timed_bars,
)
from loaders.tdx.client.connection import Connection, check_code, longest
from loaders.tdx.client.reply import Reply
from quotemill.errors import UsageError

B = TypeVar("B", Bars, TimedBars)

PAGE = 800  # bars of one upstream request
INDEX_LIMIT = 800  # the most that /api/index gives
HISTORY_LIMIT = 800  # the most that /api/kline-history gives
INTRADAY_BARS = 24_000  # the most of one-minute bars that the quote server keeps
LONG_PERIODS = ("day", "week", "month")
ADJUSTED = BarShape("list", "count", "day", "ths")
# the third-party page knows six digits only: for an index it answers the stock of the same digits
INDEX_CODES = re.compile(r"sh000[0-9]{3}|sz399[0-9]{3}|bj899[0-9]{3}")


class BarRoutes(Connection):
    """Bars of every length, and minute points; `period` is the service's word."""

    async def kline_all(
        self, code: str, *, period: str = "day", limit: int | None = None, expect_rows: bool = True
    ) -> Bars:
        """Raw bars (day, week, month) of a stock or fund: all, or the newest `limit`.

        With `expect_rows` an empty answer raises EmptyAnswer, which is retryable.
        /api/kline-all/tdx is the same handler under another name, so it is no fall-back.
        """
        _check_period(period, LONG_PERIODS)
        shape = BarShape("list", "count", period, "tdx")
        return await self._bars("kline-all", code, shape, limit, expect_rows, read_bars)

    async def index_all(
        self, code: str, *, period: str = "day", limit: int | None = None, expect_rows: bool = True
    ) -> Bars:
        """Bars (day, week, month) of an index: all, or the newest `limit`."""
        _check_period(period, LONG_PERIODS)
        shape = BarShape("list", "count", period)
        return await self._bars("index/all", code, shape, limit, expect_rows, read_bars)

    async def index(self, code: str, *, limit: int, expect_rows: bool = True) -> Bars:
        """The newest `limit` (at most 800) day bars of an index in one upstream request.

        The fall-back where `index_all` fails. Of weeks and months this route keeps the oldest, so
        they are never requested from it.
        """
        _check_limit(limit, INDEX_LIMIT)
        shape = BarShape("List", "Count", "day")
        return await self._bars("index", code, shape, limit, expect_rows, read_bars)

    async def kline_adjusted(self, code: str) -> Bars:
        """Forward-adjusted days of a stock or fund from the third-party page.

        Prices may be negative. Raises UsageError for an index.
        """
        refuse_index(code)
        route = "kline-all/ths"
        return await self._bars(route, code, ADJUSTED, None, True, read_bars, upstream=False)

    async def adjustment_factors(self, code: str) -> dict[date, float]:
        """Forward factors of the same page by day. Raises NoRoute before April 2026."""
        refuse_index(code)
        return await self._ask(
            "adjustment-factors",
            {"full_code": code},
            read_factors,
            bulk=True,
            subject=code,
            upstream=False,
            due="a single factor",
        )

    async def intraday_all(
        self,
        code: str,
        *,
        period: str = "minute1",
        limit: int | None = None,
        expect_rows: bool = True,
    ) -> TimedBars:
        """Raw intraday bars of a stock or fund: all 24,000, or the newest `limit`."""
        _check_period(period, MINUTES_OF)
        shape = BarShape("list", "count", period, "tdx")
        return await self._bars("kline-all", code, shape, limit, expect_rows, read_timed_bars)

    async def intraday(
        self, code: str, *, period: str = "minute1", limit: int = 800, expect_rows: bool = True
    ) -> TimedBars:
        """The newest `limit` (at most 800) raw intraday bars in one upstream request.

        The build of April 2026 has no such route: it reads the whole series and cuts it.
        """
        _check_period(period, MINUTES_OF)
        _check_limit(limit, HISTORY_LIMIT)
        route = "kline-history"
        if route not in self._other_contracts:
            with suppress(OtherContract):
                shape = BarShape("List", "Count", period)
                return await self._bars(route, code, shape, limit, expect_rows, read_timed_bars)
            self._other_contracts.add(route)
        return await self.intraday_all(code, period=period, limit=limit, expect_rows=expect_rows)

    async def index_intraday_all(self, code: str, *, expect_rows: bool = True) -> TimedBars:
        """One-minute bars of an index: all that the quote server keeps."""
        shape = BarShape("list", "count", "minute1")
        return await self._bars("index/all", code, shape, None, expect_rows, read_timed_bars)

    async def index_intraday(
        self, code: str, *, limit: int = 800, expect_rows: bool = True
    ) -> TimedBars:
        """The newest `limit` (at most 800) one-minute bars of an index, in one request."""
        _check_limit(limit, INDEX_LIMIT)
        shape = BarShape("List", "Count", "minute1")
        return await self._bars("index", code, shape, limit, expect_rows, read_timed_bars)

    async def minute_points(self, code: str, day: date) -> MinutePoints:
        """Price and volume of a day's minutes; fund prices can be ten times too large."""
        check_code(code)
        text = f"{day:%Y%m%d}"
        return await self._ask(
            "minute",
            {"code": code, "date": text, "full_code": code, "trading_date": text},
            lambda reply: read_minute_points(reply, day),
            subject=code,
            due=f"a minute of {day}",
        )

    async def _bars(
        self,
        route: str,
        code: str,
        shape: BarShape,
        limit: int | None,
        expect_rows: bool,
        read: Callable[[Reply, BarShape], B],
        *,
        upstream: bool = True,
    ) -> B:
        """Request bars; ask for all of them twice, as an answer may be cut short."""
        check_code(code)

        def ask() -> Awaitable[B]:
            return self._ask(
                route,
                {"code": code, "type": shape.period} | ({"limit": str(limit)} if limit else {}),
                lambda reply: read(reply, shape),
                bulk=route not in ("index", "kline-history"),
                subject=code,
                upstream=upstream,
                due="a single bar" if expect_rows else None,
            )

        if limit is not None or not upstream:
            return await ask()
        return await longest(ask, PAGE, INTRADAY_BARS if shape.period in MINUTES_OF else None)


def refuse_index(code: str) -> None:
    """Raise UsageError for a code whose six digits are an index on its exchange."""
    check_code(code)
    if INDEX_CODES.fullmatch(code):
        raise UsageError(
            f"{code} is an index, which the third-party page does not have",
            hint="Request stocks only: the page would return the stock with the same digits.",
        )


def _check_period(period: str, known: Any) -> None:
    # the service silently takes an unknown period for day
    if period not in known:
        raise ValueError(f"period must be one of {', '.join(known)}, not {period!r}")


def _check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise ValueError(f"limit must lie between 1 and {most}, not {limit}")
