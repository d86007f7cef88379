"""Routes of ticks.

A day before today: /api/minute-trade-all.
Several such days: /api/trade-history/full, which skips a failed day and reports success.
Today: only /api/minute-trade-all without a date.
Prices of funds come ten times too large everywhere.
"""

from datetime import date, timedelta

from loaders.tdx.client.answers_trades import Ticks, read_ticks, read_ticks_of_days
from loaders.tdx.client.connection import Connection, check_code, longest

FULL, WHOLE_DAY = "trade-history/full", "minute-trade-all"
# five trading days around the longest holidays; after we disconnect the service still reads on,
# day by day
LONGEST_RANGE = timedelta(days=21)
PAGE = 2000  # ticks of one upstream request


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
            raise ValueError(f"not a range of a few days: {first} to {last}")

        return await self._ask(
            FULL,
            # always both ends: with only one the service swaps the range or takes 30 days
            {"code": code, "start_date": f"{first:%Y%m%d}", "end_date": f"{last:%Y%m%d}"},
            lambda reply: read_ticks_of_days(reply, code, first, last),
            bulk=True,
            subject=code,
        )

    async def trades_of_day(self, code: str, day: date, *, expect_rows: bool = True) -> Ticks:
        """The ticks of a day before today. With `expect_rows` an empty day is a failure."""
        check_code(code)
        return await longest(lambda: self._ask_day(code, day, expect_rows), PAGE)

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

    async def _ask_day(self, code: str, day: date, expect_rows: bool) -> Ticks:
        return await self._ask(
            WHOLE_DAY,
            {"code": code, "date": f"{day:%Y%m%d}"},
            lambda reply: read_ticks(reply, day),
            bulk=True,
            subject=code,
            due=f"a tick of {day}" if expect_rows else None,
        )
