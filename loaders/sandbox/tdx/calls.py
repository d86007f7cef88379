"""The service's state, and one call seen from a route: what it may know at this moment."""

import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import wraps

from loaders.sandbox.faults import FaultPlan, Rule
from loaders.sandbox.tdx import wire
from loaders.sandbox.tdx.series import SeriesStore
from loaders.sandbox.tdx.wire import BadRequest, Request, ServiceError, UpstreamTimeout
from loaders.sandbox.world.parts import SESSION_START, Security, World

CALENDAR_REFRESH = time(9, 0, 0)
CODES_REFRESH = time(9, 0, 10)
KEPT_LOG = 200_000


@dataclass(frozen=True)
class Options:
    """`zone` is shanghai or utc; `timeout_delay` the seconds before `超时`; `small_volumes` switches
    the wrong decoding of volumes below 128 on."""

    zone: str = "shanghai"
    timeout_delay: float = 2.0
    small_volumes: bool = False


@dataclass(frozen=True)
class LogEntry:
    """One request: when (virtual clock), what, and the faults that struck it."""

    time: datetime
    method: str
    route: str
    params: dict[str, str]
    codes: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass
class Task:
    id: str
    type: str
    started: datetime
    # how many more looks at it until it ends; None: it runs until it is cancelled
    looks: int | None
    status: str = "running"
    ended: datetime | None = None


@dataclass
class ServiceState:
    """What lives as long as the process of the service."""

    world: World
    clock: datetime
    faults: FaultPlan
    options: Options
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=KEPT_LOG))
    tasks: dict[str, Task] = field(default_factory=dict)
    started_tasks: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.series = SeriesStore(
            self.world, self.options.zone, small_volumes=self.options.small_volumes
        )
        self.restart()

    def restart(self) -> None:
        """A start reads the calendar anew and knows no task."""
        self.tasks.clear()
        self.known_days = self._days_with_bar()

    def _days_with_bar(self) -> int:
        today = self.clock.date()
        if self.clock.time() >= SESSION_START:
            return bisect_right(self.world.days, today)
        return bisect_left(self.world.days, today)

    def refresh_calendar(self) -> None:
        """Only adds days; today only when today's bar is there."""
        self.known_days = max(self.known_days, self._days_with_bar())

    def set_clock(self, to: datetime) -> None:
        """Time passes: the daily refresh at 09:00 sees the days before. Backwards is a restart."""
        before, self.clock = self.clock, to
        if to < before:
            self.restart()
            return
        refresh = datetime.combine(to.date(), CALENDAR_REFRESH)
        if refresh > to:
            refresh -= timedelta(days=1)
        if refresh > before:
            seen = bisect_left(self.world.days, refresh.date())
            self.known_days = max(self.known_days, seen)


@dataclass(frozen=True)
class Call:
    """One request on its way through a route."""

    state: ServiceState
    request: Request
    hits: list[Rule]
    number: int

    def hit(self, kind: str) -> Rule | None:
        return next((rule for rule in self.hits if rule.kind == kind), None)

    @property
    def clock(self) -> datetime:
        return self.state.clock

    @property
    def today(self) -> date:
        return self.state.clock.date()

    @property
    def world(self) -> World:
        return self.state.world

    def security(self, code: str) -> Security | None:
        """The quote server knows a security from its first day on."""
        found = self.world.find(code)
        return found if found and found.listed <= self.today else None

    def days(self) -> list[date]:
        """The calendar as the service has it."""
        known = self.world.days[: self.state.known_days]
        if self.hit("calendar-empty"):
            return []
        short = self.hit("calendar-short")
        return known[-int(short.number("keep")) :] if short else known

    def cached(self) -> list[Security]:
        """The code cache: what was listed at the last refresh, in the order of the exchanges."""
        seen = self.today
        if self.clock.time() < CODES_REFRESH:
            seen -= timedelta(days=1)
        order = {"sh": 0, "sz": 1, "bj": 2}
        found = [s for s in self.world.securities if s.listed <= seen]
        found.sort(key=lambda s: (order[s.exchange], s.digits))
        return found

    def _faulty(self, found: list[Security]) -> list[Security]:
        if rule := self.hit("codes-missing"):
            found = [s for s in found if s.exchange != rule.option("exchange")]
        if rule := self.hit("codes-vanish"):
            found = [s for s in found if s.code != rule.option("code")]
        if rule := self.hit("codes-stale"):
            newest = sorted(found, key=lambda s: s.listed)[-int(rule.number("drop")) :]
            found = [s for s in found if s not in newest]
        if self.hit("codes-duplicate") and found:
            found = [found[0], *found]
        return found

    def stocks(self) -> list[Security]:
        return self._faulty([s for s in self.cached() if wire.is_stock(s.exchange, s.digits)])

    def etfs(self) -> list[Security]:
        return self._faulty([s for s in self.cached() if wire.is_etf(s.exchange, s.digits)])

    def upstream(self) -> None:
        """Every request to the quote server passes here and may fail."""
        if self.hit("timeout"):
            raise UpstreamTimeout(wire.TIMED_OUT)
        if rule := self.hit("outage"):
            raise ServiceError(rule.option("message") or wire.CONNECTION_LOST)


Route = Callable[[Call], bytes]


def prefixed(prefix: str) -> Callable[[Route], Route]:
    """A route whose errors get this text in front, but those about the request itself."""

    def decorated(route: Route) -> Route:
        @wraps(route)
        def answer(call: Call) -> bytes:
            try:
                return route(call)
            except BadRequest:
                raise
            except ServiceError as error:
                raise type(error)(prefix + str(error)) from error

        return answer

    return decorated


def asked_codes(texts: Iterable[str]) -> tuple[str, ...]:
    """Codes of a request in canonical form, for rules and the log."""
    found = []
    for text in texts:
        try:
            found.append(wire.expand_code(text.strip()))
        except ServiceError:
            found.append(text.strip().lower())
    return tuple(found)
