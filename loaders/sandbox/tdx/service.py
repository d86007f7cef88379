"""The simulated TDX service: its HTTP port, its virtual clock, its restarts."""

import threading
from collections import deque
from collections.abc import Iterable
from datetime import date, datetime

from loaders.sandbox.faults import FaultPlan, Rule
from loaders.sandbox.server.control import Document
from loaders.sandbox.server.http_server import HttpServer
from loaders.sandbox.server.sandbox import Sandbox
from loaders.sandbox.tdx.calls import LogEntry, Options, ServiceState
from loaders.sandbox.tdx.faults import CATALOGUE
from loaders.sandbox.tdx.http_handler import ServiceHandler
from loaders.sandbox.world.clock import parse_clock
from loaders.sandbox.world.world import World

EXAMPLE = "2025-06-30"  # of a clock, in hints


class TdxSandbox(Sandbox):
    """The service over `world`, at `url` from entering to leaving the context.

    `clock` is a date (18:00), a date-time or an ISO text of exchange time; it stands still until
    `set_clock`. `port` and `control_port` 0 pick free ones; without `control_port` there is no
    control port. `faults` are rules or their texts.
    """

    log: deque[LogEntry]

    def __init__(
        self,
        world: World,
        *,
        clock: date | datetime | str | None = None,
        faults: Iterable[Rule | str] = (),
        port: int = 0,
        control_port: int | None = None,
        seed: int = 1,
        options: Options = Options(),
    ) -> None:
        start = world.end if clock is None else parse_clock(clock, EXAMPLE)
        plan = FaultPlan(CATALOGUE, faults, seed=seed)
        self.world, self.state = world, ServiceState(world, start, faults=plan, options=options)
        super().__init__(plan, self.state.log, control_port)
        self.controls["POST", "restart"] = lambda _: self.restart()
        self.stopped = threading.Event()
        self.listening = threading.Event()
        self._port = port
        self._server: HttpServer | None = None
        self._lock = threading.Lock()

    @property
    def clock(self) -> datetime:
        return self.state.clock

    def set_clock(self, clock: date | datetime | str, *, restart: bool = False) -> None:
        """Let time pass; with `restart` the service also restarts at that time.

        A running service reads its calendar at 09:00, so the day itself is unknown until the next
        morning, a restart, or a workday/range request that comes out empty.
        """
        self.state.set_clock(parse_clock(clock, EXAMPLE))
        if restart:
            self.state.restart()

    def steer_clock(self, document: Document) -> None:
        self.set_clock(str(document["clock"]), restart=bool(document.get("restart")))

    def restart(self) -> None:
        self.state.restart()

    def go_away(self, seconds: float, *, restart: bool = False) -> None:
        """Stop listening for a while, as a process that is being restarted."""

        def run() -> None:
            self._stop_listening()
            if restart:
                self.state.restart()
            if not self.stopped.wait(seconds):
                self.open()

        self.listening.clear()
        threading.Thread(target=run, daemon=True).start()

    def open(self) -> None:
        class Handler(ServiceHandler):
            state, listening, stopped = self.state, self.listening, self.stopped
            go_away = staticmethod(self.go_away)

        with self._lock:
            if self.stopped.is_set():
                return
            self._server = HttpServer(self._port, Handler)
            self._port, self.url = self._server.port, self._server.url
            self.listening.set()

    def close(self) -> None:
        self.stopped.set()
        self._stop_listening()

    def _stop_listening(self) -> None:
        with self._lock:
            self.listening.clear()
            if self._server:
                self._server.stop()
                self._server = None

    def describe(self) -> dict[str, object]:
        known = self.world.days[: self.state.known_days]
        return {
            "calendar_until": known[-1].isoformat() if known else None,
            "calls": self.state.calls,
        }
