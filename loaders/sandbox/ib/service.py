"""The simulated gateway: its socket, clients, log of messages, and notices."""

import asyncio
import contextlib
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from loaders.sandbox.faults import FaultPlan, Rule
from loaders.sandbox.ib import contracts
from loaders.sandbox.ib.faults import CATALOGUE, is_within_hours
from loaders.sandbox.ib.hours import VirtualClock, load_calendar
from loaders.sandbox.ib.market_data import MarketData
from loaders.sandbox.ib.session import Session
from loaders.sandbox.ib.subscriptions import run_subscription
from loaders.sandbox.ib.wire import REQUESTS
from loaders.sandbox.ib.world import World
from loaders.sandbox.server.http_server import port_error
from loaders.sandbox.server.loop_thread import LoopThread
from loaders.sandbox.server.sandbox import Sandbox
from loaders.sandbox.world.clock import parse_clock
from quotemill.errors import UsageError

ACCOUNT = "DUSANDBOX"
EXAMPLE = "2026-11-19"  # of a clock, in hints
DEFAULT_CLOCK = "2026-11-19T10:00:00"
LOG_SIZE = 100_000
MESSAGES_A_SECOND = 50  # limit of a real gateway
ANSWERS = {  # by number of the message: the answer, and the farm that gives it
    9: (contracts.contract_details, "contracts"),
    20: (contracts.historical_bars, "history"),
    78: (contracts.option_parameters, "contracts"),
}


def read_zone(name: str) -> ZoneInfo:
    """Raises UsageError for an unknown time zone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"unknown time zone {name!r}", hint="Use an IANA name such as Asia/Shanghai."
        ) from None


@dataclass(frozen=True)
class Entry:
    """A message of a client: its name, its fields as they came, and the virtual time."""

    client_id: int
    what: str
    fields: tuple[str, ...]
    clock: datetime


class IbSandbox(Sandbox):
    """A gateway over `world` from entering to leaving the context, at `port`.

    `clock` is a date (18:00), a date-time or an ISO text, of New York; it stands still until
    `set_clock`. Ports 0 pick free ones; without `control_port` there is no control port. `faults`
    are rules or their texts. `zone` is the time zone of the log-in.
    """

    log: deque[Entry]

    def __init__(
        self,
        world: World | None = None,
        faults: Iterable[Rule | str] = (),
        clock: date | datetime | str = DEFAULT_CLOCK,
        *,
        port: int = 0,
        control_port: int | None = None,
        account: str = ACCOUNT,
        messages_a_second: int = MESSAGES_A_SECOND,
        zone: str = "America/New_York",
    ) -> None:
        plan = FaultPlan(CATALOGUE, faults, is_on=lambda rule: is_within_hours(rule, self.clock))
        super().__init__(plan, deque(maxlen=LOG_SIZE), control_port)
        self.controls |= {
            ("POST", "notice"): lambda document: self.notice(int(document["code"])),
            ("POST", "drop"): lambda _: self.drop_all(),
            ("POST", "restart"): lambda document: self.go_away(float(document.get("seconds", 1.0))),
        }
        self.world = world or World()
        self.virtual_clock = VirtualClock(parse_clock(clock, EXAMPLE))
        self.market_data = MarketData(self.world, self.faults, self.virtual_clock, read_zone(zone))
        self.account, self.port, self.messages_a_second = account, port, messages_a_second
        self.errors_sent: Counter[int] = Counter()
        self.most_lines = self.requests = 0
        self._sessions: dict[int, Session] = {}
        self._all: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = threading.Event()
        self._thread = LoopThread("ib-sandbox", self._serve)

    @property
    def clock(self) -> datetime:
        """Virtual time, New York."""
        return self.virtual_clock.now()

    def set_clock(self, clock: date | datetime | str) -> None:
        self.virtual_clock.set(parse_clock(clock, EXAMPLE))

    def settings(self) -> dict[str, Any]:
        """Values of the section [ib] that connect a loader to this gateway."""
        return {"host": "127.0.0.1", "port": self.port, "clock": "gateway"}

    def asked(self, what: str) -> list[Entry]:
        """Messages of one name, such as reqMktData, oldest first."""
        return [entry for entry in list(self.log) if entry.what == what]

    @property
    def lines(self) -> int:
        """Number of contracts that clients are subscribed to."""
        return sum(len(session.lines) for session in list(self._all))

    def notice(self, code: int) -> None:
        """Send a message to every client.

        1100 and 2110 stop all answers until 1101, which also drops the subscriptions, or 1102.
        """
        self._thread.call(lambda: self._send_notice(code))

    def lose_servers(self, seconds: float) -> None:
        """Send 1100 now and, after some real seconds, the recovery (1102)."""
        self._thread.call(lambda: self.lose(1102, seconds))

    def drop_all(self) -> None:
        """Break every connection."""
        self._thread.call(self._drop)

    def go_away(self, seconds: float) -> None:
        """Break every connection and close the port for a while, as a restarting gateway."""
        self._thread.call(lambda: self.restart(seconds))

    def wait_until_listening(self) -> bool:
        """Wait for the end of `go_away`; False if the port stays closed for half a minute."""
        return self._listening.wait(30)

    def open(self) -> None:
        load_calendar()
        self._thread.start()

    def close(self) -> None:
        self._thread.stop()

    async def _serve(self) -> None:
        await self._listen()
        await self._thread.wait_until_stopped()
        self._drop()
        for task in list(self._tasks):
            task.cancel()
        if self._server is not None:
            self._server.close()

    async def _listen(self) -> None:
        try:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        except OSError as error:
            raise port_error(self.port, error) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._listening.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer, answers=ANSWERS, subscribe=run_subscription)
        self._all.add(session)
        with contextlib.suppress(asyncio.CancelledError):
            await session.run()

    def enter(self, client_id: int, session: Session) -> bool:
        """Register a session; False if its client id is in use."""
        return self._sessions.setdefault(client_id, session) is session

    def leave(self, session: Session) -> None:
        self._all.discard(session)
        if self._sessions.get(session.client_id) is session:
            del self._sessions[session.client_id]

    def log_message(self, client_id: int, fields: list[str]) -> None:
        what = REQUESTS.get(int(fields[0]), fields[0])
        self.log.append(Entry(client_id, what, fields=tuple(fields), clock=self.clock))

    def count_error(self, code: int) -> None:
        self.errors_sent[code] += 1

    def count_request(self) -> int:
        """Count a request for market data, and return how many there were."""
        self.requests += 1
        return self.requests

    def record_lines(self, count: int) -> None:
        self.most_lines = max(self.most_lines, count)

    def report_failure(self, error: BaseException) -> None:
        """Print an error of the sandbox, so that it does not look like a silent gateway."""
        text = "".join(traceback.format_exception(error))
        sys.stderr.write(f"the sandbox failed\n{text}")
        self.errors_sent[-1] += 1

    def _drop(self) -> None:
        for session in list(self._all):
            session.close(abort=True)

    def _send_notice(self, code: int) -> None:
        self.market_data.apply_notice(code)
        for session in self._sessions.values():
            session.error(-1, code)
            if code == 1101:
                session.forget_lines()

    def lose(self, back: int, seconds: float) -> None:
        """Send the loss of the servers now, and after some real seconds their recovery."""
        self._send_notice(1100)

        async def recover() -> None:
            await asyncio.sleep(seconds)
            self._send_notice(back)

        self._spawn(recover())

    def restart(self, seconds: float) -> None:
        self._listening.clear()
        if self._server is not None:
            self._server.close()
        self._drop()

        async def come_back() -> None:
            await asyncio.sleep(seconds)
            await self._listen()

        self._spawn(come_back())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def describe(self) -> dict[str, object]:
        return {
            "clients": sorted(self._sessions),
            "requests": len(self.log),
            "market_data_requests": self.requests,
            "lines": self.lines,
            "most_lines": self.most_lines,
            "errors_sent": {str(code): n for code, n in sorted(self.errors_sent.items())},
        }
