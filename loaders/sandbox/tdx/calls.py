"""State of the service, and one call as a route sees it."""

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
from loaders.sandbox.world.world import SESSION_START, Security, World

CALENDAR_REFRESH = time(9, 0, 0)
CODES_REFRESH = time(9, 0, 10)
LOG_SIZE = 200_000


@dataclass(frozen=True)
class Options:
    """Options of the service.

    zone: shanghai or utc
    timeout_delay: seconds before `超时`
    build: the public build whose contracts it speaks, 2025-11 or 2026-04
    """

    zone: str = "shanghai"
    timeout_delay: float = 2.0
    build: str = "2025-11"


@dataclass(frozen=True)
class LogEntry:
    """One request: virtual time, route, parameters, and the faults that struck it."""

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
    # requests for it until it ends; None: it runs until it is cancelled
    polls: int | None
    status: str = "running"
    ended: datetime | None = None


@dataclass
class ServiceState:
    """State that lives as long as the process of the service."""

    world: World
    clock: datetime
    faults: FaultPlan
    options: Options
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=LOG_SIZE))
    tasks: dict[str, Task] = field(default_factory=dict)
    started_tasks: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.series = SeriesStore(self.world, self.options.zone)
        self.restart()

    def restart(self) -> None:
        """Read the calendar and forget all tasks, as a starting process does."""
        self.tasks.clear()
        self.known_days = self._days_with_bar()

    def _days_with_bar(self) -> int:
        today = self.clock.date()
        if self.clock.time() >= SESSION_START:
            return bisect_right(self.world.days, today)
        return bisect_left(self.world.days, today)

    def refresh_calendar(self) -> None:
        """Add new days to the calendar; today only if today's bar exists."""
        self.known_days = max(self.known_days, self._days_with_bar())

    def set_clock(self, to: datetime) -> None:
        """Let time pass: a refresh at 09:00 adds days; backwards is a restart."""
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
    rules: list[Rule]
    number: int

    def hit(self, kind: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.kind == kind), None)

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
        """A security that the quote server knows: from its first day on."""
        security = self.world.find(code)
        return security if security and security.listed <= self.today else None

    def days(self) -> list[date]:
        """The calendar that the service knows."""
        known = self.world.days[: self.state.known_days]
        if self.hit("calendar-empty"):
            return []
        if hole := self.hit("calendar-hole"):
            at = -int(hole.number("back")) - 1
            known = [*known[:at], *known[at + 1 :]]
        short = self.hit("calendar-short")
        return known[-int(short.number("keep")) :] if short else known

    def cached(self) -> list[Security]:
        """The code cache: securities listed at the last refresh, ordered by exchange."""
        refresh = self.today
        if self.clock.time() < CODES_REFRESH:
            refresh -= timedelta(days=1)
        order = {"sh": 0, "sz": 1, "bj": 2}
        listed = [s for s in self.world.securities if s.listed <= refresh]
        return sorted(listed, key=lambda s: (order[s.exchange], s.digits))

    def apply_faults(self, codes: list[Security]) -> list[Security]:
        if rule := self.hit("codes-missing"):
            codes = [s for s in codes if s.exchange != rule.option("exchange")]
        if rule := self.hit("codes-vanish"):
            codes = [s for s in codes if s.code != rule.option("code")]
        if rule := self.hit("codes-stale"):
            newest = sorted(codes, key=lambda s: s.listed)[-int(rule.number("drop")) :]
            codes = [s for s in codes if s not in newest]
        if self.hit("codes-duplicate") and codes:
            codes = [codes[0], *codes]
        return codes

    def stocks(self) -> list[Security]:
        return self.apply_faults([s for s in self.cached() if wire.is_stock(s.exchange, s.digits)])

    def etfs(self) -> list[Security]:
        return self.apply_faults([s for s in self.cached() if wire.is_etf(s.exchange, s.digits)])

    def upstream(self) -> None:
        """Fail if a fault hits requests to the quote server."""
        if self.hit("timeout"):
            raise UpstreamTimeout(wire.TIMED_OUT)
        if rule := self.hit("outage"):
            raise ServiceError(rule.option("message") or wire.CONNECTION_LOST)


Route = Callable[[Call], bytes]


def prefix_errors(prefix: str) -> Callable[[Route], Route]:
    """Put a text in front of a route's errors, except errors in the request itself."""

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


def normalise_codes(texts: Iterable[str]) -> tuple[str, ...]:
    """Codes of a request in canonical form, for rules and the log."""
    codes = []
    for text in texts:
        try:
            codes.append(wire.expand_code(text.strip()))
        except ServiceError:
            codes.append(text.strip().lower())
    return tuple(codes)
