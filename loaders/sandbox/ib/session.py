"""One connection of a client: log-in, limit of messages, answers by number."""

import asyncio
import random
import struct
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, Protocol

from loaders.sandbox.ib.market_data import MarketData
from loaders.sandbox.ib.wire import (
    AMBIGUOUS,
    MESSAGES,
    READ_ONLY,
    SERVER_VERSION,
    Field,
    frame,
    in_zone,
    query_at,
    read_fields,
    read_frame,
)

LINES, BREACHES = 100, 3


class Gateway(Protocol):
    """What a connection knows of its gateway."""

    market_data: MarketData
    account: str
    messages_a_second: int

    def enter(self, client_id: int, session: "Session") -> bool: ...
    def leave(self, session: "Session") -> None: ...
    def log_message(self, client_id: int, fields: list[str]) -> None: ...
    def count_error(self, code: int) -> None: ...
    def count_request(self) -> int: ...
    def record_lines(self, count: int) -> None: ...
    def report_failure(self, error: BaseException) -> None: ...
    def lose(self, back: int, seconds: float) -> None: ...
    def restart(self, seconds: float) -> None: ...


Answer = Callable[["Session", list[str]], Coroutine[Any, Any, None]]


class Session:
    """A connection.

    answers: by number of a message, what a farm answers, and the farm's name
    subscribe: sends the quotes of a contract until its task ends
    data_type: market data type that the client asked for, a switch of the whole connection
    lines: subscriptions by number of the request
    """

    def __init__(
        self,
        owner: Gateway,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        answers: Mapping[int, tuple[Answer, str]],
        subscribe: Callable[..., Coroutine[Any, Any, None]],
    ) -> None:
        self._owner, self.market_data, self._subscribe = owner, owner.market_data, subscribe
        self._reader, self._writer = reader, writer
        self.client_id, self.version, self.data_type = -1, SERVER_VERSION, 1
        self.lines: dict[int, asyncio.Task[None]] = {}
        self._is_stalled = False
        self._asked = Counter[str]()  # requests by farm
        self._jobs: set[asyncio.Task[None]] = set()
        self._stamp, self._breaches = time.monotonic(), 0
        self._tokens = self._messages_a_second()
        self._answers: dict[int, Callable[[list[str]], object]] = {
            1: self._market_data,
            2: self._cancel,
            3: lambda f: self.error(int(f[1]), 321, READ_ONLY),
            5: lambda _: self.send(53, 1),
            6: lambda f: self.send(54, 1, f[3]),
            7: lambda f: self.send(55, 1, f[2]),
            8: lambda _: self.send(9, 1, 1),
            15: lambda _: None,
            16: lambda _: self.send(53, 1),
            17: lambda _: self.send(15, 1, self._owner.account),
            25: lambda _: None,
            49: lambda _: self.send(49, 1, self._time()),
            59: self._switch,
            61: lambda _: self.send(62, 1),
            62: lambda f: self.send(64, 1, f[2]),
            63: lambda _: None,
            64: lambda _: None,
            71: self._log_in,
            76: lambda f: self.send(74, 1, f[2]),
            99: lambda _: self.send(102),
            104: lambda f: self.send(107, f[1], ""),
            **{number: self._later(*answer) for number, answer in answers.items()},
        }

    async def run(self) -> None:
        try:
            if await self._reader.readexactly(4) != b"API\0":
                return
            offer = (await read_frame(self._reader)).decode().split(" ")[0]
            low, _, high = offer[1:].partition("..")
            self.version = min(SERVER_VERSION, int(high or low))
            self.send(self.version, in_zone(self.market_data.clock.now(), self.market_data.zone))
            while True:
                fields = await read_fields(self._reader)
                self._owner.log_message(self.client_id, fields)
                if not self._is_stalled and self._is_within_limit():
                    self._answer(fields)
        except (asyncio.IncompleteReadError, ConnectionError, struct.error, ValueError):
            pass  # the client left, or speaks something else
        finally:
            self.close()

    def _answer(self, fields: list[str]) -> None:
        answer = self._answers.get(int(fields[0]))
        if answer is None:
            self.error(-1, 322, f"The sandbox does not support message {fields[0]}")
        else:
            answer(fields)

    def _later(self, answer: Answer, farm: str) -> Callable[[list[str]], object]:
        """Ask the servers, which do not answer while they are lost."""

        def ask(fields: list[str]) -> None:
            self._asked[farm] += 1
            if not self._stalls(farm, self._asked[farm]) and not self.market_data.is_cut_off:
                self._spawn(answer(self, fields))

        return ask

    def _stalls(self, farm: str, count: int) -> bool:
        """Whether the connection answers nothing from this request of a farm on."""
        self._is_stalled = None is not self.market_data.faults.strike(
            "stall", request=count, accept=lambda rule: rule.option("at") == farm
        )
        return self._is_stalled

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._owner.report_failure(error)

    def close(self, *, abort: bool = False) -> None:
        for task in list(self._jobs):
            task.cancel()
        self.lines.clear()
        self._owner.leave(self)
        if abort:
            self._writer.transport.abort()
        else:
            self._writer.close()

    def send(self, *fields: Field) -> None:
        if not self._is_stalled and not self._writer.is_closing():
            self._writer.write(frame(fields))

    def error(self, request: int, code: int, message: str = "") -> None:
        extra = ("",) if self.version >= 166 else ()
        self._owner.count_error(code)
        self.send(4, 2, request, code, message or MESSAGES.get(code, "Simulated error"), *extra)

    async def lag(self) -> None:
        """Wait as long as an answer takes: not at all unless a fault says so."""
        seconds = self.market_data.number("latency", "seconds", 0.0)
        jitter = self.market_data.number("latency", "jitter", 0.0)
        if seconds or jitter:
            await asyncio.sleep(seconds + jitter * random.random())

    def notify(self, request: int, farm: str) -> None:
        """Send what a fault says before the answer of a farm."""
        if rule := self.market_data.faults.strike("notice", at=farm):
            self.error(request, rule.integer("code"), rule.option("message"))

    def _time(self) -> int:
        ahead = self.market_data.number("clock-off", "seconds", 0.0)
        return int(self.market_data.clock.now().timestamp() + ahead)

    def _messages_a_second(self) -> float:
        return self.market_data.number("rate", "per_second", self._owner.messages_a_second)

    def _is_within_limit(self) -> bool:
        """Limit messages by a bucket of one second.

        A message that overflows it is lost; the third one breaks the connection.
        """
        limit, now = self._messages_a_second(), time.monotonic()
        self._tokens = min(limit, self._tokens + (now - self._stamp) * limit)
        self._stamp = now
        if self._tokens >= 1:
            self._tokens -= 1
            return True
        self._breaches, self._tokens = self._breaches + 1, limit
        self.error(-1, 100, f"{MESSAGES[100]} rec={int(limit) + 1} ({self._breaches})")
        if self._breaches >= BREACHES:
            self.close()
        return False

    def _log_in(self, fields: list[str]) -> None:
        wanted = int(fields[2])
        if self.market_data.faults.strike("no-login"):
            return
        if self.market_data.faults.strike("client-id", id=str(wanted)) or not self._owner.enter(
            wanted, self
        ):
            self.error(-1, 326)
            self._writer.close()
            return
        self.client_id = wanted
        self.send(15, 1, self._owner.account)
        self.send(9, 1, 1)
        for code in (2104, 2106, 2158):
            self.error(-1, code)

    def _switch(self, fields: list[str]) -> None:
        self.data_type = int(fields[2])

    def _market_data(self, fields: list[str]) -> None:
        request, query = int(fields[2]), query_at(fields, 3)
        generic, snapshot = fields[16], fields[17] == "1"
        count, faults = self._owner.count_request(), self.market_data.faults
        if faults.strike("disconnect", request=count):
            self.close(abort=True)
            return
        if self._stalls("quotes", count):
            return
        if rule := faults.strike("restart", request=count):
            self._owner.restart(rule.number("seconds"))
            return
        if rule := faults.strike("connectivity", request=count):
            self._owner.lose(rule.integer("code"), rule.number("seconds"))
        if faults.strike("pacing", request=count):
            self.error(request, 100)
            return
        if snapshot and generic:
            self.error(request, 321)
            return
        if len(self.lines) >= self.market_data.number("lines", "count", LINES):
            self.error(request, 101)
            return
        matches = self.market_data.world.find(query, self.market_data.clock.now().date())
        if len(matches) != 1:
            self.error(request, 200, AMBIGUOUS if matches else "")
            return
        (match,) = matches
        if not match.is_option and (rule := self.market_data.strike("slow", match)):
            clock = self.market_data.clock
            clock.set(clock.now() + timedelta(seconds=rule.number("seconds")))
        line = self._subscribe(self, request, match, generic.split(","), snapshot=snapshot)
        self.lines[request] = self._spawn(line)
        self._owner.record_lines(len(self.lines))

    def _cancel(self, fields: list[str]) -> None:
        request = int(fields[2])
        task = self.lines.pop(request, None)
        if task is None:
            self.error(request, 300, f"Can't find EId with tickerId:{request}")
        else:
            task.cancel()

    def forget_lines(self) -> None:
        for task in self.lines.values():
            task.cancel()
        self.lines.clear()
