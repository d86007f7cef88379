"""Requests to the TDX HTTP service and their failures: limits, retries, a service that is down.

This module knows the envelope of an answer; the routes_* modules know the rows.
"""

import asyncio
import logging
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence, Sized
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self, TypeVar

from loaders.engine.outcome import SourceGone
from loaders.requests.http import (
    NoAnswerInTime,
    Response,
    RetryPolicy,
    Unreachable,
    http_client,
    rate_limit,
    retrying,
    send,
)
from loaders.tdx.client import answers
from loaders.tdx.client.answers import EmptyAnswer, Outage, PermanentAnswer, UpstreamTimeout
from loaders.tdx.client.reply import Reply, WrongShape
from loaders.tdx.settings import TdxSettings
from loaders.trading_time import SHANGHAI
from quotemill.errors import DataQualityError, UpstreamError, UsageError
from quotemill.foreign import reading

if TYPE_CHECKING:  # it takes long to import
    import httpx

    from loaders.tdx.servers.pool import Pool

T = TypeVar("T")
S = TypeVar("S", bound=Sized)
log = logging.getLogger(__name__)

CODE = re.compile(r"(sh|sz|bj)[0-9]{6}")
# in the words of both public builds, each of which ignores those of the other
PROBE = {"code": "sh600000", "type": "minute1", "limit": "1"}
PROBE |= {"full_code": "sh600000", "frequency": "day", "adjust_mode": "bfq", "count": "1"}
DOWN = (Outage, Unreachable)
TIMEOUTS_IN_A_ROW = 10  # of different codes: a service of six connections that hangs, not a code
BULK = 3  # times as long as another: the history of a code, 30 s with tdx.timeout = 10


class Connection:
    """One load's connection to the service; an async context manager.

    At most `settings.concurrency` requests run at once and `settings.requests_per_second` start in
    a second, retries and probes included. Every call can raise UpstreamError (SourceGone: no
    further call can succeed), WrongShape, and UsageError for a malformed code.

    unknown_fields: counts over the whole load, by place ('kline-all.list.Foo')
    oddities: counts over the whole load, by kind ('kline-all.unsorted')
    service_time: the service's own clock; None before its first answer
    """

    def __init__(
        self,
        settings: TdxSettings,
        *,
        transport: "httpx.AsyncBaseTransport | None" = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._now = settings, now
        self._policy = RetryPolicy(settings.retries, settings.backoff)
        # a service that restarts needs longer than one that stumbles over a code
        self._patient = RetryPolicy(settings.retries, settings.timeout)
        address = settings.require_service()
        self.pool: Pool | None = None
        if settings.servers:
            from loaders.tdx.servers.transport import QuoteTransport

            transport = by_servers = QuoteTransport(settings, now)
            self.pool = by_servers.pool
        # a pool has limits of its own, for each of the requests behind a route
        self._limit = math.inf if self.pool else settings.timeout
        self._http = http_client(address, connections=settings.concurrency, transport=transport)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._rate = rate_limit(settings.requests_per_second)
        self.unknown_fields: Counter[str] = Counter()
        self.oddities: Counter[str] = Counter()
        self.service_time: datetime | None = None  # by the Date header of the newest answer
        self._late_routes: set[str] = set()  # those that timed out once
        self._late_subjects: set[str] = set()  # those that timed out since the last answer
        self._is_down = False  # by the newest attempt of a request
        self._other_contracts: set[str] = set()  # routes with that of April 2026
        self._failing_routes: set[str] = set()  # with an outage while the probe answered
        self._gone: SourceGone | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def _ask(
        self,
        route: str,
        params: dict[str, str],
        read: Callable[[Reply], T],
        *,
        bulk: bool = False,
        subject: str | None = None,
        codes: Sequence[str] = (),
        upstream: bool = True,
        due: str | None = None,
    ) -> T:
        """Send a request, with retries. Raises SourceGone if the service is down after them.

        A route that reports an outage while the service answers others is not waited for again.

        bulk: use the time-out of bulk requests
        subject: what the request is about, for messages
        codes: send a POST of these codes
        upstream: an answer about `subject` proves that the quote server is there, and a time-out is
            a sign that it may not be
        due: what is missing where `read` returns nothing (`a single bar`); None if that is no error
        """

        async def attempt() -> T:
            async with self._slots:
                self._check_gone()
                reply = await self._once(
                    route, params, bulk=bulk, subject=subject, codes=codes, upstream=upstream
                )
                what = f"{route} {subject or ''}".rstrip()
                with reading(f"the response to {what}"):
                    result = read(reply)
                if due and not result:
                    raise EmptyAnswer(f"{what}: success without {due}")
                return result

        async def attempts() -> T:
            try:
                return await retrying(self._policy, attempt)
            except DOWN as error:
                if not self._is_down:
                    self._is_down = True
                    log.warning(
                        "the TDX service is down (%s). Retries: %d", error, self._patient.retries
                    )
                raise

        waited_for = (Unreachable,) if route in self._failing_routes else DOWN
        try:
            return await retrying(self._patient, attempts, on=waited_for)
        except DOWN as error:
            await self._end_if_down(error)
            if isinstance(error, Outage):
                self._failing_routes.add(route)
            raise

    def _check_gone(self) -> None:
        if self._gone is not None:
            raise SourceGone(str(self._gone), hint=self._gone.hint)

    async def _end_if_down(self, cause: UpstreamError) -> None:
        """Raise SourceGone, here and from then on, unless a probe finds the service up."""
        with suppress(UpstreamError):
            async with self._slots:
                if self._gone is None:
                    await self._knock()
                    return
        self._gone = self._gone or SourceGone(
            f"TDX service outage: still down after {self._settings.retries} retries ({cause})",
            hint="Check the service and tdx.base_url with `loaders check tdx`, then run "
            "`quotemill retry`.",
        )
        self._check_gone()

    async def _once(
        self,
        route: str,
        params: dict[str, str],
        *,
        bulk: bool,
        subject: str | None,
        codes: Sequence[str],
        upstream: bool,
    ) -> Reply:
        limit = self._limit * (BULK if bulk else 1)
        path = f"/api/{route}"
        async with self._rate:
            fetched_at = self._now()
        try:
            method, payload = (
                ("POST", {"codes": codes, "full_codes": codes}) if codes else ("GET", params)
            )
            named = subject if codes else None
            response = await send(self._http, method, path, payload, limit=limit, subject=named)
            self.service_time = _read_date(response) or self.service_time
            reply = self._open_reply(route, subject or "", response, fetched_at)
        except (UpstreamTimeout, NoAnswerInTime) as error:
            if route not in self._late_routes:  # the next tries may take minutes
                self._late_routes.add(route)
                log.warning("%s. Retrying (if this continues: %s)", error, answers.RESTART)
            if subject is not None and upstream:
                self._late_subjects.add(subject)
                if len(self._late_subjects) >= TIMEOUTS_IN_A_ROW and self._gone is None:
                    self._gone = SourceGone(
                        f"no response in time for {TIMEOUTS_IN_A_ROW} different codes in a row",
                        hint="Restart the TDX service, which does not replace a dead "
                        "quote server itself, then run `quotemill retry`.",
                    )
            raise
        self._failing_routes.discard(route)
        if subject is not None and upstream:
            self._is_down = False
            self._late_subjects.clear()
        return reply

    def _open_reply(
        self, route: str, subject: str, response: Response, fetched_at: datetime
    ) -> Reply:
        status, content = response.status_code, response.content
        data = answers.open_envelope(route, subject, status, content, self.unknown_fields)
        return Reply(route, data, fetched_at, self.unknown_fields, self.oddities)

    async def _knock(self) -> int:
        """Send a cheap request that reaches the quote server; return its number of bars."""
        route = "kline-history"
        async with self._rate:
            pass
        response = await send(self._http, "GET", f"/api/{route}", PROBE, limit=self._limit)
        try:
            reply = self._open_reply(route, PROBE["code"], response, self._now())
            reply.head({}, reply.data)
            return len(reply.rows("items" if "items" in reply.data else "List"))
        except (PermanentAnswer, WrongShape):
            # the service did answer; the request that needs the bars shows whether they are usable
            return 0


def _read_date(response: Response) -> datetime | None:
    """The time of an answer, in exchange time; None without one that has a day there."""
    with suppress(DataQualityError), reading("Date"):
        sent_at = parsedate_to_datetime(response.headers["Date"])
        return (sent_at if sent_at.tzinfo else sent_at.replace(tzinfo=UTC)).astimezone(SHANGHAI)
    return None


def check_code(code: str) -> None:
    """Raise UsageError for anything but an exchange and six digits."""
    if not CODE.fullmatch(code):
        raise UsageError(f"not a code like sh600000: {code!r}")


async def longest(ask: Callable[[], Awaitable[S]], page: int, most: int | None = None) -> S:
    """The longer of two answers where the first may have been cut short.

    That is possible at a multiple of `page` rows, unless the answer has `most` rows.
    """
    first = await ask()
    if not len(first) or len(first) % page or len(first) == most:
        return first
    return max(first, await ask(), key=len)
