"""Kept connections to some of the quote servers.

One is left for the next if it is silent, refuses, restarts, or answers wrong bytes. Good ones that
all restart, as a single one does about 08:00, are waited for. A piece of work, such as the pages of
a series, has one server: another may lack its newest bar.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Self, TypeVar

from loaders.engine.outcome import SourceGone
from loaders.requests.http import RetryPolicy, Unreachable, rate_limit, retrying
from loaders.tdx.servers import codec
from loaders.tdx.servers.codec import Event, WrongAnswer
from loaders.tdx.servers.frames import Address, Server
from loaders.tdx.settings import OTHER_SERVERS, TdxSettings
from quotemill.errors import UpstreamError
from quotemill.wording import say_count

T = TypeVar("T")
log = logging.getLogger(__name__)

# public ones, which come and go; two clients that are maintained name the same in November 2026
_HOSTS = """
43.139.18.171 43.139.95.83 49.232.15.141 62.234.50.143 81.70.151.186 81.71.32.47 82.156.174.84
82.156.214.79 101.33.225.16 101.35.121.35 101.42.164.241 101.42.240.54 101.43.159.194 110.41.2.72
110.41.147.114 111.229.247.189 111.230.186.52 111.231.113.208 116.205.163.254 116.205.171.132
116.205.183.150 118.25.98.114 119.97.185.59 120.53.8.251 121.36.225.169 122.51.120.217
122.51.232.182 123.60.70.228 123.60.73.44 123.60.84.66 123.60.164.122 124.70.133.119 124.70.199.56
124.71.9.153 124.71.187.72 124.71.187.122 124.223.163.242 129.204.230.128 150.158.160.2
152.136.191.169 159.75.29.111 175.178.112.197 175.178.128.227
"""
PUBLIC = [(host, 7709) for host in _HOSTS.split()]
OTHER_EVENTS = "Try again later, or set tdx.corporate_actions to a CSV file"
MOST_SERVERS = 8  # tried for one piece of work
HEARTBEAT = 30  # seconds; servers end connections that say nothing for some minutes


def list_addresses(servers: Sequence[str]) -> Iterator[Address]:
    """The addresses of the setting tdx.servers."""
    for text in servers:
        host, _, port = text.rpartition(":")
        yield from PUBLIC if text == "public" else [(host.strip("[]"), int(port))]


class Pool:
    """At most `settings.concurrency` connections, all on one event loop."""

    def __init__(self, settings: TdxSettings) -> None:
        self._addresses = deque(list_addresses(settings.servers or ["public"]))
        self._known = len(self._addresses)
        self._timeout = settings.timeout
        self._fix = OTHER_SERVERS if settings.servers else OTHER_EVENTS
        self._patient = RetryPolicy(settings.retries, settings.timeout)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._rate = rate_limit(settings.requests_per_second)
        self._good: set[Address] = set()
        self._idle = deque[Server]()
        self._opening = asyncio.Lock()
        self._heartbeat: asyncio.Task[None] | None = None
        self._are_down = False  # by the newest attempt
        self._gone: SourceGone | None = None

    async def use(self, what: str, work: Callable[[Server], Awaitable[T]]) -> T:
        """The result of `work` with one server, begun again with another if that fails.

        Good servers that are all away are waited for. Raises SourceGone if no server is good, and
        from then on, else UpstreamError.
        """
        try:
            return await retrying(self._patient, partial(self._try, what, work), on=(Unreachable,))
        except Unreachable as error:
            raise self._end(str(error)) from None

    async def _try(self, what: str, work: Callable[[Server], Awaitable[T]]) -> T:
        why: Exception | None = None
        for _ in range(MOST_SERVERS):
            async with self._slots:
                server = await self._take()
                try:
                    result = await work(server)
                except (OSError, WrongAnswer) as error:
                    why = error
                    self._leave(server.address, error)
                    server.close()
                except BaseException:  # its answer may still come
                    server.close()
                    raise
                else:
                    self._idle.append(server)
                    return result
        raise UpstreamError(f"{what}: no usable response from a quote server ({why})")

    async def events(self, codes: Sequence[str]) -> dict[str, list[Event] | UpstreamError]:
        """The corporate actions of each code, or why there are none; one code costs no other."""
        events: dict[str, list[Event] | UpstreamError] = {}
        while asked := codes[len(events) : len(events) + codec.EVENTS_PAGE]:
            events |= await self._ask_events(asked)
        return events

    async def _ask_events(self, codes: Sequence[str]) -> dict[str, list[Event] | UpstreamError]:
        async def ask(server: Server) -> list[list[Event]]:
            body = await server.ask(codec.EVENTS, codec.ask_events(codes))
            return codec.read_events(body, codes)

        try:
            # the last codes of an answer that is full are asked for again
            return dict(zip(codes, await self.use(f"events of {codes[0]}", ask), strict=False))
        except SourceGone as gone:
            return dict.fromkeys(codes, gone)
        except UpstreamError as error:
            if len(codes) == 1:
                return {codes[0]: error}
        return await self._ask_events(codes[: len(codes) // 2])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heartbeat
        while self._idle:
            self._idle.pop().close()

    async def _take(self) -> Server:
        """A server. Raises Unreachable if all good ones are away, else SourceGone."""
        async with self._opening:
            if self._idle:
                return self._idle.popleft()  # a retry of an empty answer has another server
            if self._gone is not None:
                raise self._end(str(self._gone))
            self._heartbeat = self._heartbeat or asyncio.create_task(self._beat())
            why = ""
            for _ in range(min(MOST_SERVERS, len(self._addresses))):
                address = self._addresses[0]
                self._addresses.rotate(-1)
                try:
                    server = await Server.open(address, self._rate, self._timeout)
                except (OSError, WrongAnswer) as error:
                    why = f" ({error})"
                    self._leave(address, error)
                else:
                    self._good.add(address)
                    self._are_down = False
                    return server
            sentence = f"none of {say_count(self._known, 'TDX quote server')} responds{why}"
            if not self._good:
                raise self._end(sentence)
            if not self._are_down:
                self._are_down = True
                log.warning("%s; retries: %d", sentence, self._patient.retries)
            raise Unreachable(sentence)

    def _end(self, sentence: str) -> SourceGone:
        """Let no further work begin."""
        self._gone = SourceGone(sentence, hint=self._fix)
        return self._gone

    def _leave(self, address: Address, error: Exception) -> None:
        """Leave a server, for the whole load if it is silent or never was good."""
        why = str(error) or type(error).__name__
        is_out = address not in self._good or isinstance(error, TimeoutError)
        if is_out and address in self._addresses:
            self._addresses.remove(address)
            self._good.discard(address)
            log.warning("the quote server %s:%s is left out: %s", *address, why)
        else:
            log.debug("the quote server %s:%s is dropped: %s", *address, why)

    async def _beat(self) -> None:
        """Keep idle connections alive."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            for _ in range(len(self._idle)):
                server = self._idle.popleft()
                try:
                    await server.ask(codec.HEARTBEAT, b"")
                except (OSError, WrongAnswer) as error:
                    self._leave(server.address, error)
                    server.close()
                except BaseException:
                    server.close()
                    raise
                else:
                    self._idle.append(server)
