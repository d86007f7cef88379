"""The client of the TDX HTTP service: one class over all routes in use.

It asks each route only for the kind of instrument that the route serves: a stock route answers an
index with an empty body or garbage, and an index route never answers a stock.
"""

import logging
from dataclasses import dataclass
from datetime import date, timedelta

from loaders.requests.http import Unreachable, retrying
from loaders.tdx.client import answers
from loaders.tdx.client.answers import EmptyAnswer, Listing, Outage, PastCoverage
from loaders.tdx.client.reply import Reply
from loaders.tdx.client.routes_bars import INDEX_LIMIT, BarRoutes
from loaders.tdx.client.routes_quotes import QuoteRoutes
from loaders.tdx.client.routes_trades import TradeRoutes
from loaders.trading_time import FIRST_SHANGHAI_DAY
from quotemill.errors import UpstreamError
from quotemill.instrument_ranges import COMPOSITE, is_other_kind

KNOWN_DAY = date(2019, 2, 1)
DAY = timedelta(days=1)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Result of a connection test that succeeded.

    first_day, last_day: the ends of the service's calendar
    warnings: for people
    """

    first_day: date
    last_day: date
    warnings: tuple[str, ...]


class TdxClient(BarRoutes, TradeRoutes, QuoteRoutes):
    """All routes in use, and the connection test."""

    async def codes(self) -> list[Listing]:
        """All stocks of the service's list, delisted ones included."""
        return await self._listings("codes", "codes")

    async def etfs(self, *, expect_rows: bool = True) -> list[Listing]:
        """All funds of the service's list, which takes any code that begins like a fund's.

        Its last_price is stale and not read.
        """
        listed = await self._listings("etf", "list", expect_rows)
        return [listing for listing in listed if not is_other_kind(listing.code)]

    async def workdays(self, start: date, end: date, *, expect_days: bool = False) -> list[date]:
        """Trading days in [start, end], none in the future; the newest may be missing.

        With `expect_days` an empty list raises EmptyAnswer: a service whose calendar file was
        written in another time zone answers success without a day, for every year.

        The build of April 2026 refuses to pass its newest bar into a year whose holidays it does
        not know: then the newest days are those of its bars of sh000001.
        """

        def read(reply: Reply) -> list[date]:
            days = answers.read_workdays(reply, start, end)
            if expect_days and not days:
                raise EmptyAnswer(
                    f"workday/range: the service's calendar is empty from {start} to {end}",
                    hint=self._settings.choose_fix(
                        service="Delete the service's calendar file (it was lost, or written in "
                        f"another time zone), set TZ=Asia/Shanghai and {answers.RESTART}."
                    ),
                )
            return days

        params = {"start": f"{start:%Y%m%d}", "end": f"{end:%Y%m%d}"}
        try:
            return await self._ask("workday/range", params, read, bulk=True)
        except PastCoverage as refusal:
            until = refusal.until
            if "workday/range" not in self._other_contracts:
                self._other_contracts.add("workday/range")
                log.warning(
                    "the service's calendar ends %s. Later days come from its index bars", until
                )
        covered = []
        if start <= until < end:
            covered = await self.workdays(start, until, expect_days=expect_days)
        bars = await self.index(COMPOSITE, limit=INDEX_LIMIT)
        return covered + [day for day in bars.dates if max(start, until + DAY) <= day <= end]

    async def probe(self, as_of: date) -> Readiness:
        """Test by one real call and the calendar whether the service can serve a load.

        Does not wait for a service that is down; raises UpstreamError with the fix as its hint.
        The routes `health` and `server-status` answer constants and prove nothing.
        """
        try:
            bars = await retrying(self._policy, self._knock)
        except Outage as error:
            raise UpstreamError(
                f"the service is running but not connected to its quote server ({error})",
                hint=f"Wait a minute. If this continues, {answers.RESTART}.",
            ) from None
        except Unreachable as error:
            raise UpstreamError(
                str(error), hint="Start the service, or correct tdx.base_url in the settings."
            ) from None
        days = await self.workdays(FIRST_SHANGHAI_DAY, as_of, expect_days=True)
        warnings = []
        if not bars:
            warnings.append("the service has no minute bar of sh600000")
        if days[0] > KNOWN_DAY:
            warnings.append(
                f"the service's calendar only starts on {days[0]}. Earlier days come from "
                "the published calendar, so you do not need to do anything"
            )
        elif days[-1] >= KNOWN_DAY and KNOWN_DAY not in set(days):
            raise UpstreamError(
                f"the service's calendar is missing the trading day {KNOWN_DAY}",
                hint=self._settings.choose_fix(
                    service=f"Delete its calendar file, set TZ=Asia/Shanghai and {answers.RESTART}."
                ),
            )
        return Readiness(days[0], days[-1], tuple(warnings))

    async def _listings(self, route: str, key: str, expect_rows: bool = True) -> list[Listing]:
        return await self._ask(
            route,
            {"exchange": "all"},
            lambda reply: answers.read_listings(reply, key),
            due="a single security" if expect_rows else None,
        )
