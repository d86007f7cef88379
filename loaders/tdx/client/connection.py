"""Requests to the TDX HTTP service and their failures: limits, retries, outages.

This module knows the envelope of an answer; the routes_* modules know the rows.
"""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence, Sized
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self, TypeVar

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
from loaders.tdx.client.outage import OutageGate
from loaders.tdx.client.reply import Reply, WrongShape
from loaders.tdx.settings import TdxSettings
from loaders.trading_time import SHANGHAI
from quotemill.errors import DataQualityError, UpstreamError, UsageError
from quotemill.foreign import reading

if TYPE_CHECKING:  # it takes long to import
    import httpx

T = TypeVar("T")
S = TypeVar("S", bound=Sized)
log = logging.getLogger(__name__)

CODE = re.compile(r"(sh|sz|bj)[0-9]{6}")
PROBE = {"code": "sh600000", "type": "minute1", "limit": "1"}


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
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        report: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._settings, self._now = settings, now
        self._policy = RetryPolicy(settings.retries, settings.backoff)
        # one connection more than requests: the probe of an outage needs it
        address = settings.require_service()
        self._http = http_client(address, connections=settings.concurrency + 1, transport=transport)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._rate = rate_limit(settings.requests_per_second)
        self._gate = OutageGate(
            self._knock, budget=settings.outage_wait, sleep=sleep, clock=clock, report=report
        )
        self.unknown_fields: Counter[str] = Counter()
        self.oddities: Counter[str] = Counter()
        self.service_time: datetime | None = None  # by the Date header of the newest answer
        self._late: set[str] = set()  # routes that timed out once

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._gate.close()
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
        """Send a request, with retries, and wait out outages.

        An outage costs no retry, but the number of outages that a request survives is limited.

        bulk: use the time-out of bulk requests
        subject: what the request is about, for messages
        codes: send a POST of these codes
        upstream: an answer about `subject` proves that the quote server is there, and a time-out is
            a sign that it may not be
        due: what is missing where `read` returns nothing (`a single bar`); None if that is no error
        """
        episode = 0

        async def attempt() -> T:
            nonlocal episode
            async with self._slots:
                episode = await self._gate.passage()
                reply = await self._once(
                    route, params, bulk=bulk, subject=subject, codes=codes, upstream=upstream
                )
                what = f"{route} {subject or ''}".rstrip()
                with reading(f"the answer to {what}"):
                    result = read(reply)
                if due and not result:
                    raise EmptyAnswer(f"{what}: success without {due}")
                return result

        for _ in range(self._policy.retries + 1):
            try:
                return await retrying(self._policy, attempt)
            except (Outage, Unreachable) as error:
                await self._gate.wait_out(episode, error)
                cause = error
        raise UpstreamError(
            str(cause), hint="it failed again after each outage: run `quotemill retry` later"
        )

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
        limit = self._settings.bulk_timeout if bulk else self._settings.timeout
        path = f"/api/{route}"
        async with self._rate:
            fetched_at = self._now()
        try:
            method, payload = ("POST", {"codes": codes}) if codes else ("GET", params)
            named = subject if codes else None
            response = await send(self._http, method, path, payload, limit=limit, subject=named)
            self.service_time = _read_date(response) or self.service_time
            reply = self._open_reply(route, subject or "", response, fetched_at)
        except (UpstreamTimeout, NoAnswerInTime) as error:
            if route not in self._late:  # the next tries may take minutes
                self._late.add(route)
                log.warning("%s; asking again (if it goes on: %s)", error, answers.RESTART)
            if subject is not None and upstream:
                self._gate.timed_out(subject)
            raise
        if subject is not None and upstream:
            self._gate.answered()
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
        response = await send(
            self._http, "GET", f"/api/{route}", PROBE, limit=self._settings.timeout
        )
        try:
            reply = self._open_reply(route, PROBE["code"], response, self._now())
            reply.head({"Count": int}, {"List"})
            return len(reply.rows("List"))
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
        raise UsageError(f"code must look like sh600000, not {code!r}")


async def longest(ask: Callable[[], Awaitable[S]], page: int, most: int | None = None) -> S:
    """The longer of two answers where the first may have been cut short.

    That is possible at a multiple of `page` rows, unless the answer has `most` rows.
    """
    first = await ask()
    if not len(first) or len(first) % page or len(first) == most:
        return first
    return max(first, await ask(), key=len)
