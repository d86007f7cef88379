"""The gateway as a whole: its socket on 127.0.0.1, who is connected, what was asked, and its control port."""

import asyncio
import contextlib
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Self

from loaders.errors import UsageError
from loaders.sandbox.ib.control import ControlServer
from loaders.sandbox.ib.desk import Desk
from loaders.sandbox.ib.faults import FaultPlan
from loaders.sandbox.ib.hours import VirtualClock, load_calendar
from loaders.sandbox.ib.session import Session
from loaders.sandbox.ib.wire import REQUESTS
from loaders.sandbox.ib.world import World
from loaders.sandbox.loop_thread import LoopThread
from loaders.sandbox.world.clock import moment
from loaders.sandbox.world.fault_plan import Rule

ACCOUNT = "DUSANDBOX"
EXAMPLE = "2026-11-19"  # of a clock, in hints
DEFAULT_CLOCK = "2026-11-19T10:00:00"
KEPT_ENTRIES = 100_000
CONTROL = "GET state, log, faults; POST clock, faults, notice, drop, restart; DELETE faults, log"


@dataclass(frozen=True)
class Entry:
    """A message of a client: its name, its fields as they came, and the virtual time."""

    client_id: int
    what: str
    fields: tuple[str, ...]
    clock: datetime


MESSAGES_A_SECOND = 50  # that a gateway takes


class IbSandbox:
    """A gateway over `world` from entering to leaving the context, at `port`.

    `clock` is a date (18:00), a date-time or an ISO text, of New York; it stands still unless `speed`
    (virtual seconds a second) says otherwise. Ports 0 are picked; without `control_port` there is no
    control server. `faults` holds the rules (see faults.py), `log` what was asked. A real gateway takes
    50 messages a second.
    """

    def __init__(
        self,
        world: World | None = None,
        faults: Iterable[Rule | str] = (),
        clock: date | datetime | str = DEFAULT_CLOCK,
        *,
        speed: float = 0.0,
        port: int = 0,
        control_port: int | None = None,
        account: str = ACCOUNT,
        messages_a_second: int = MESSAGES_A_SECOND,
    ) -> None:
        self.world, self.faults = world or World(), FaultPlan(faults)
        self.virtual_clock = VirtualClock(moment(clock, EXAMPLE), speed)
        self.desk = Desk(self.world, self.faults, self.virtual_clock)
        self.account, self.port, self.messages_a_second = account, port, messages_a_second
        self.log: deque[Entry] = deque(maxlen=KEPT_ENTRIES)
        self.errors_sent: Counter[int] = Counter()
        self.most_lines = self.requests = 0
        self.control_url = ""
        self._control_port = control_port
        self._control: ControlServer | None = None
        self._sessions: dict[int, Session] = {}
        self._all: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = threading.Event()
        self._thread = LoopThread("ib-sandbox", self._serve)

    # ------------------------------------------------------------------ for tests
    @property
    def clock(self) -> datetime:
        """Virtual time, New York."""
        return self.virtual_clock.now()

    def set_clock(self, clock: date | datetime | str) -> None:
        self.virtual_clock.set(moment(clock, EXAMPLE))

    def settings(self) -> dict[str, Any]:
        """What a section [ib] of the settings needs to come here."""
        return {"host": "127.0.0.1", "port": self.port, "clock": "gateway"}

    def asked(self, what: str) -> list[Entry]:
        """Messages of one name, such as reqMktData, oldest first."""
        return [entry for entry in list(self.log) if entry.what == what]

    @property
    def lines(self) -> int:
        """Contracts that clients look at now."""
        return sum(len(session.lines) for session in list(self._all))

    def notice(self, code: int) -> None:
        """Tell every client of something. 1100 and 2110 end all answers until 1101, which also forgets what
        they looked at, or 1102; 2103, 2105 and 2157 those of a farm, until 2104, 2106 and 2158."""
        self._thread.do(lambda: self._tell(code))

    def lose_servers(self, seconds: float, back: int = 1102) -> None:
        """Tell of their loss (1100) now and, after some real seconds, of their return (1101, 1102)."""
        self._thread.do(lambda: self.lose(1100, back, seconds))

    def drop_all(self) -> None:
        """Break every connection."""
        self._thread.do(self._drop)

    def go_away(self, seconds: float) -> None:
        """Break every connection and close the port for a while, as a gateway that restarts."""
        self._thread.do(lambda: self.restart(seconds))

    def wait_until_listening(self) -> bool:
        """After it went away; False if it does not come back within half a minute."""
        return self._listening.wait(30)

    # ------------------------------------------------------------------ life
    def __enter__(self) -> Self:
        """Open the ports; raises UsageError where one is taken."""
        load_calendar()
        self._thread.start()
        if self._control_port is not None:
            try:
                self._control = ControlServer(self._control_port, self.control)
            except UsageError:
                self.__exit__()
                raise
            self.control_url = self._control.url
        return self

    def __exit__(self, *_: object) -> None:
        if self._control is not None:
            self._control.stop()
        self._thread.stop()

    async def _serve(self) -> None:
        await self._listen()
        await self._thread.until_stopped()
        self._drop()
        for task in list(self._tasks):
            task.cancel()
        if self._server is not None:
            self._server.close()

    async def _listen(self) -> None:
        try:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        except OSError as error:
            raise UsageError(
                f"port {self.port} cannot be opened: {error.strerror}",
                hint="--port 0 picks a free one",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._listening.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        self._all.add(session)
        with contextlib.suppress(asyncio.CancelledError):
            await session.run()

    # ------------------------------------------------------------------ for sessions
    def enter(self, client_id: int, session: Session) -> bool:
        """False where that client id is in use."""
        return self._sessions.setdefault(client_id, session) is session

    def leave(self, session: Session) -> None:
        self._all.discard(session)
        if self._sessions.get(session.client_id) is session:
            del self._sessions[session.client_id]

    def note(self, client_id: int, fields: list[str]) -> None:
        what = REQUESTS.get(int(fields[0]), fields[0])
        self.log.append(Entry(client_id, what, tuple(fields), self.clock))

    def count_error(self, code: int) -> None:
        self.errors_sent[code] += 1

    def count_request(self) -> int:
        """Requests for market data so far, this one included."""
        self.requests += 1
        return self.requests

    def saw_lines(self, count: int) -> None:
        self.most_lines = max(self.most_lines, count)

    def failed(self, error: BaseException) -> None:
        """A mistake of our own must not look like a silent gateway."""
        told = "".join(traceback.format_exception(error))
        sys.stderr.write(f"the sandbox failed\n{told}")
        self.errors_sent[-1] += 1

    def _drop(self) -> None:
        for session in list(self._all):
            session.close(abort=True)

    def _tell(self, code: int) -> None:
        self.desk.hear(code)
        for session in self._sessions.values():
            session.error(-1, code)
            if code == 1101:
                session.forget_lines()

    def lose(self, code: int, back: int, seconds: float) -> None:
        """Tell of a loss now, and after some real seconds that it is over."""
        self._tell(code)

        async def later() -> None:
            await asyncio.sleep(seconds)
            self._tell(back)

        self._keep(later())

    def restart(self, seconds: float) -> None:
        self._listening.clear()
        if self._server is not None:
            self._server.close()
        self._drop()

        async def later() -> None:
            await asyncio.sleep(seconds)
            await self._listen()

        self._keep(later())

    def _keep(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------ control
    def control(self, method: str, route: str, document: dict[str, Any]) -> dict[str, object]:
        """What the control port does; raises UsageError, ValueError or KeyError for a bad request."""
        if (method, route) == ("POST", "clock"):
            self.set_clock(str(document["clock"]))
        elif (method, route) == ("POST", "faults"):
            self.faults.add(str(document["fault"]))
        elif (method, route) == ("POST", "notice"):
            self.notice(int(document["code"]))
        elif (method, route) == ("POST", "drop"):
            self.drop_all()
        elif (method, route) == ("POST", "restart"):
            self.go_away(float(document.get("seconds", 1.0)))
        elif (method, route) == ("DELETE", "faults"):
            self.faults.clear()
        elif (method, route) == ("DELETE", "log"):
            self.log.clear()
        elif (method, route) == ("GET", "log"):
            log = [asdict(entry) | {"clock": entry.clock.isoformat()} for entry in list(self.log)]
            return {"log": log}
        elif (method, route) not in (("GET", "state"), ("GET", "faults")):
            raise UsageError(f"no control {method} /{route}", hint=CONTROL)
        return {
            "clock": self.clock.isoformat(),
            "faults": [str(rule) for rule in self.faults.rules],
            "clients": sorted(self._sessions),
            "requests": len(self.log),
            "market_data_requests": self.requests,
            "lines": self.lines,
            "most_lines": self.most_lines,
            "errors_sent": {str(code): n for code, n in sorted(self.errors_sent.items())},
        }
