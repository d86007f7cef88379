"""Routes of ticks.

A day before today: /api/minute-trade-all; if it fails, pages of /api/trade-history.
Several such days: /api/trade-history/full, which skips a failed day and reports success.
Today: only /api/minute-trade-all without a date.
Prices of funds come ten times too large everywhere.
"""

from datetime import date, timedelta

from loaders.engine.outcome import SourceGone
from loaders.tdx.client.answers_trades import Ticks, join_pages, read_ticks, read_ticks_of_days
from loaders.tdx.client.connection import Connection, check_code, longest
from loaders.tdx.client.reply import WrongShape
from quotemill.errors import DataQualityError, UpstreamError

FULL, WHOLE_DAY, PAGES = "trade-history/full", "minute-trade-all", "trade-history"
# five trading days around the longest holidays; after we disconnect the service still reads on,
# day by day
LONGEST_RANGE = timedelta(days=21)
PAGE = 2000  # ticks of one upstream request
LAST_START = 65_535  # a larger `start` is taken modulo 65,536


class TradeRoutes(Connection):
    """Ticks of one day or of a few."""

    async def trades_of_days(self, code: str, first: date, last: date) -> dict[date, Ticks]:
        """Ticks of the complete days in [first, last], by day.

        The range holds about five trading days and ends before today. A missing day failed
        upstream, had no trades or is unknown to the service's calendar; the answer does not say
        which.
        """
        check_code(code)
        if not first <= last <= first + LONGEST_RANGE:
            raise ValueError(f"{first} to {last} is no range of a few days")

        return await self._ask(
            FULL,
            # always both ends: with only one the service swaps the range or takes 30 days
            {"code": code, "start_date": f"{first:%Y%m%d}", "end_date": f"{last:%Y%m%d}"},
            lambda reply: read_ticks_of_days(reply, code, first, last),
            bulk=True,
            subject=code,
        )

    async def trades_of_day(self, code: str, day: date, *, expect_rows: bool = True) -> Ticks:
        """The ticks of a day before today.

        If the answer comes from pages, its `fallback` says why. With `expect_rows` an empty day is
        a failure of both routes.
        """
        check_code(code)
        try:
            return await longest(lambda: self._ask_day(WHOLE_DAY, code, day, expect_rows), PAGE)
        except SourceGone:
            raise
        except (UpstreamError, DataQualityError) as error:
            cause = f"{WHOLE_DAY} → {PAGES}: {error}"
        return await self._paged_day(code, day, expect_rows, cause)

    async def trades_of_today(self, code: str, day: date) -> Ticks:
        """The ticks so far of the service's current day, `day`; none before its first trade.

        Call it only on a trading day after 09:25: outside a session the service may send the ticks
        of the session before, stamped with today.
        """
        check_code(code)
        return await self._ask(
            WHOLE_DAY,
            {"code": code},
            lambda reply: read_ticks(reply, day),
            bulk=True,
            subject=code,
        )

    async def _paged_day(self, code: str, day: date, expect_rows: bool, cause: str) -> Ticks:
        """The ticks of a day from pages, which count back from the end of the day."""
        pages: list[Ticks] = []
        for start in range(0, LAST_START + 1, PAGE):
            params = {"start": str(start), "count": str(PAGE)}
            page = await self._ask_day(PAGES, code, day, expect_rows and start == 0, **params)
            pages.insert(0, page)
            if len(pages[0]) < PAGE:
                return join_pages(PAGES, pages, cause)
        raise WrongShape(PAGES, None, "List", f"a day of more than {LAST_START} ticks has no pages")

    async def _ask_day(
        self, route: str, code: str, day: date, expect_rows: bool, **params: str
    ) -> Ticks:
        return await self._ask(
            route,
            {"code": code, "date": f"{day:%Y%m%d}"} | params,
            lambda reply: read_ticks(reply, day),
            bulk=route == WHOLE_DAY,
            subject=code,
            due=f"a tick of {day}" if expect_rows else None,
        )
