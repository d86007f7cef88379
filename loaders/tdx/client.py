"""The TDX HTTP service: requests and their failures. Shapes are in loaders.tdx.answers.

Each route is asked only for the class of instrument that it serves: an index through a stock route
answers an empty body or garbage, a stock through an index route never answers.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from loaders.errors import SettingsError, UpstreamError, UsageError
from loaders.http import NoAnswerInTime, RetryPolicy, Unreachable, get, http_client, retrying
from loaders.settings import TdxSettings
from loaders.tdx.answers import (
    RESTART,
    Bars,
    EmptyAnswer,
    Listing,
    Outage,
    PermanentAnswer,
    UpstreamTimeout,
    WrongShape,
    check_fields,
    open_envelope,
    read_bars,
    read_list,
    read_listings,
    read_workdays,
)
from loaders.tdx.outage import OutageGate
from loaders.trading_time import FIRST_SHANGHAI_DAY

T = TypeVar("T")

CODE = re.compile(r"(sh|sz|bj)[0-9]{6}")
PAGE = 800  # bars of one upstream request
INDEX_LIMIT = 800  # the most that /api/index gives
KNOWN_DAY = date(2019, 2, 1)
PROBE = {"code": "sh600000", "type": "minute1", "limit": "1"}


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a connection test found. `warnings` are for people; a failure raises instead."""

    bars: int
    first_day: date
    last_day: date
    warnings: tuple[str, ...]


class TdxClient:
    """One load's view of the service; an async context manager.

    At most `settings.concurrency` requests run at once, however many callers wait. `unknown_fields`
    ('kline-all.list.Foo') and `oddities` ('kline-all.unsorted') count over the whole load; the
    caller reports them once.
    Every call can raise UpstreamError (ServiceGone: no further call can succeed), WrongShape, and
    for a malformed code UsageError.
    """

    def __init__(
        self,
        settings: TdxSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if settings.base_url is None:
            raise SettingsError(
                "no TDX service is configured",
                hint="set QUOTEMILL_TDX__BASE_URL=http://host:8080, or start `loaders sandbox tdx`",
            )
        self._settings, self._now = settings, now
        self._policy = RetryPolicy(settings.retries, settings.backoff)
        # one connection more than requests, for the probe of an outage
        self._http = http_client(
            settings.base_url, connections=settings.concurrency + 1, transport=transport
        )
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._gate = OutageGate(self._knock, budget=settings.outage_wait, sleep=sleep, clock=clock)
        self.unknown_fields: Counter[str] = Counter()
        self.oddities: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._gate.close()
        await self._http.aclose()

    async def codes(self) -> list[Listing]:
        """All stocks of the service's list. Delisted ones stay in it; indices are in no list."""
        return await self._ask("codes", {"exchange": "all"}, self._listings("codes", "codes"))

    async def etfs(self, *, expect_rows: bool = True) -> list[Listing]:
        """All funds of the service's list. Its last_price is stale and not read."""
        return await self._ask(
            "etf", {"exchange": "all"}, self._listings("etf", "list", expect_rows)
        )

    async def workdays(self, start: date, end: date, *, expect_days: bool = False) -> list[date]:
        """Trading days in [start, end]; none lies in the future, and the newest may be missing.

        With `expect_days` an empty list is a failure: a service whose calendar file was written in
        another time zone answers success and no day, for every year.
        """

        def decode(data: Any, _: datetime) -> list[date]:
            days = read_workdays(
                "workday/range", data, start=start, end=end, unknown=self.unknown_fields
            )
            if expect_days and not days:
                raise EmptyAnswer(
                    f"workday/range: the service's calendar is empty from {start} to {end}",
                    hint="its calendar file was lost or written in another time zone:"
                    f" remove the file, set TZ=Asia/Shanghai and {RESTART}",
                )
            return days

        params = {"start": f"{start:%Y%m%d}", "end": f"{end:%Y%m%d}"}
        return await self._ask("workday/range", params, decode, bulk=True)

    async def kline_all(
        self, code: str, *, limit: int | None = None, expect_rows: bool = True
    ) -> Bars:
        """Raw day bars of a stock or fund: all of them, or the newest `limit`.

        With `expect_rows` an empty answer is a retryable failure. /api/kline-all/tdx is the same
        handler under another name, so it is no fall-back.
        """
        return await self._history("kline-all", code, limit, expect_rows, meta=True)

    async def index_all(
        self, code: str, *, limit: int | None = None, expect_rows: bool = True
    ) -> Bars:
        """Day bars of an index: all of them, or the newest `limit`."""
        return await self._history("index/all", code, limit, expect_rows, meta=False)

    async def index(self, code: str, *, limit: int, expect_rows: bool = True) -> Bars:
        """The newest `limit` (at most 800) day bars of an index in one upstream request: the
        fall-back where `index_all` fails."""
        if not 1 <= limit <= INDEX_LIMIT:
            raise ValueError(f"limit must lie between 1 and {INDEX_LIMIT}, not {limit}")
        return await self._bars("index", code, limit, expect_rows, meta=False)

    async def probe(self, as_of: date) -> Readiness:
        """Whether the service can serve a load now: one real call and a look at its calendar.

        Does not wait for a service that is down. `health` and `server-status` answer constants and
        prove nothing.
        """
        try:
            bars = await retrying(self._policy, self._knock)
        except Outage as error:
            raise UpstreamError(
                f"the service runs but has no connection to its quote server ({error})",
                hint=f"wait a minute; if it goes on, {RESTART}",
            ) from None
        except Unreachable as error:
            raise UpstreamError(
                str(error), hint="start the service, or mend tdx.base_url in the settings"
            ) from None
        days = await self.workdays(FIRST_SHANGHAI_DAY, as_of, expect_days=True)
        warnings = []
        if not bars:
            warnings.append("the service has no minute bar of sh600000")
        if days[0] > KNOWN_DAY:
            warnings.append(f"the service's calendar begins only at {days[0]}")
        elif days[-1] >= KNOWN_DAY and KNOWN_DAY not in set(days):
            raise UpstreamError(
                f"the service's calendar lacks the trading day {KNOWN_DAY}",
                hint=f"remove its calendar file, set TZ=Asia/Shanghai and {RESTART}",
            )
        return Readiness(bars, days[0], days[-1], tuple(warnings))

    async def _history(
        self, route: str, code: str, limit: int | None, expect_rows: bool, *, meta: bool
    ) -> Bars:
        bars = await self._bars(route, code, limit, expect_rows, meta=meta)
        if limit is not None or not bars or len(bars) % PAGE:
            return bars
        # an upstream page that came back empty ends the history early, at a multiple of 800
        again = await self._bars(route, code, limit, expect_rows, meta=meta)
        return max(bars, again, key=len)

    async def _bars(
        self, route: str, code: str, limit: int | None, expect_rows: bool, *, meta: bool
    ) -> Bars:
        if not CODE.fullmatch(code):
            raise UsageError(f"code must look like sh600000, not {code!r}")
        key, count = ("List", "Count") if route == "index" else ("list", "count")

        def decode(data: Any, fetched_at: datetime) -> Bars:
            bars = read_bars(
                route,
                data,
                key=key,
                count=count,
                meta=meta,
                fetched_at=fetched_at,
                unknown=self.unknown_fields,
                oddities=self.oddities,
            )
            if expect_rows and not bars:
                raise EmptyAnswer(f"{route} {code}: success without a single bar")
            return bars

        params = {"code": code, "type": "day"} | ({"limit": str(limit)} if limit else {})
        return await self._ask(route, params, decode, bulk=route != "index", subject=code)

    def _listings(
        self, route: str, key: str, expect_rows: bool = True
    ) -> Callable[[Any, datetime], list[Listing]]:
        def decode(data: Any, _: datetime) -> list[Listing]:
            found = read_listings(
                route, data, key=key, unknown=self.unknown_fields, oddities=self.oddities
            )
            if expect_rows and not found:
                raise EmptyAnswer(f"{route}: success without a single security")
            return found

        return decode

    async def _ask(
        self,
        route: str,
        params: dict[str, str],
        decode: Callable[[Any, datetime], T],
        *,
        bulk: bool = False,
        subject: str | None = None,
    ) -> T:
        """Retries, then the gate: an outage costs a request no retry, but it survives only so many.

        `subject` is the code of a request that goes through to the quote server.
        """
        episode = 0

        async def attempt() -> T:
            nonlocal episode
            async with self._slots:
                episode = await self._gate.passage()
                return await self._once(route, params, decode, bulk=bulk, subject=subject)

        for _ in range(self._policy.retries + 1):
            try:
                return await retrying(self._policy, attempt)
            except (Outage, Unreachable) as error:
                await self._gate.wait_out(episode, error)
                cause = error
        raise UpstreamError(str(cause), hint="it failed again after each outage; `loaders retry`")

    async def _once(
        self,
        route: str,
        params: dict[str, str],
        decode: Callable[[Any, datetime], T],
        *,
        bulk: bool,
        subject: str | None,
    ) -> T:
        limit = self._settings.bulk_timeout if bulk else self._settings.timeout
        fetched_at = self._now()
        try:
            response = await get(self._http, f"/api/{route}", params, limit=limit)
            data = self._open(route, subject or "", response)
        except (UpstreamTimeout, NoAnswerInTime):
            if subject is not None:
                self._gate.timed_out(subject)
            raise
        if subject is not None:
            self._gate.answered()
        return decode(data, fetched_at)

    def _open(self, route: str, subject: str, response: httpx.Response) -> Any:
        status, content = response.status_code, response.content
        return open_envelope(route, subject, status, content, self.unknown_fields)

    async def _knock(self) -> int:
        """One cheap request that reaches the quote server; the number of bars it gave."""
        route = "kline-history"
        response = await get(self._http, f"/api/{route}", PROBE, limit=self._settings.timeout)
        try:
            data = self._open(route, PROBE["code"], response)
            check_fields(route, None, data, {"Count": int}, {"List"}, self.unknown_fields)
            return len(read_list(route, data, "List"))
        except (PermanentAnswer, WrongShape):
            # an answer all the same; whether it is usable shows at the request that needs it
            return 0
