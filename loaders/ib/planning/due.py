"""What is due: the request of a task with its slots, days and symbols named once.

What a person types (`--slot now`) and what the clock asks for become the same options, so that a
retry means the same slots. What is done already is known from the warehouse.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import psycopg

from loaders.engine.request import LoadRequest
from loaders.errors import NotDue, UsageError
from loaders.ib.contracts import universe
from loaders.ib.operations import missing_settings
from loaders.ib.planning.request import (
    ANY_TASK,
    CLOSE,
    DAILY,
    DISCOVER,
    DUE,
    ENRICH,
    HINT,
    SNAPSHOT,
    TASKS,
    current_time,
    lane_name,
    task_name,
)
from loaders.ib.planning.timetable import Timetable
from loaders.ib.queries import landed, loads
from loaders.ib.slots import NEW_YORK, Slot, parse_slot
from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse, find_warehouse

# the last table and the newest: both exist once a load of this version has made the landed tables
LAST_TABLES = ("raw_ib.recapture", "raw_ib.former_contract")
# failed open interest is requested again: later after each failure
INTEREST_RETRY = timedelta(minutes=30)
# what is due at a minute, in the order of the loads
SCHEDULED = (
    (SNAPSHOT, "known"),
    (DISCOVER, "now"),
    (SNAPSHOT, "now"),
    (SNAPSHOT, "missed"),
    (CLOSE, "now"),
    (ENRICH, "now"),
)
BEFORE_CLOSE = "before-close"  # value of --slot, of the job of a further slot
Options = dict[str, str]


@dataclass(frozen=True)
class Question:
    """A task at a time. `due` is None unless the clock asks; `conn` None before the first load."""

    timetable: Timetable
    options: Mapping[str, str]
    symbols: Sequence[str]
    conn: psycopg.Connection | None

    @property
    def due(self) -> str | None:
        return self.options.get(DUE)


Answer = tuple[Options, Sequence[str] | None]  # options, symbols (None: all)


def split_request(
    settings: Settings, request: LoadRequest, as_of: datetime | None
) -> Sequence[LoadRequest]:
    """The loads of a request: its task, or what is due now. Raises NotDue without any."""
    if request.options or request.mode not in ANY_TASK or missing_settings(settings):
        return (replace(request, mode=task_name(request)),)
    now = as_of or current_time(settings)
    # a later part is resolved again when its turn comes: the slot may be captured by then
    return [part for part, _ in find_due(settings, find_warehouse(settings), request, now)]


def find_due(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, now: datetime
) -> list[tuple[LoadRequest, LoadRequest]]:
    """The loads that the clock asks for, each as it is requested and resolved. Raises NotDue.

    A slot does not wait for discovery: symbols that have contracts, of an older session too, come
    first.
    """
    reasons, parts = [], []
    for task, due in SCHEDULED:
        part = replace(request, mode=task, options={DUE: due})
        try:
            parts.append((part, resolve(settings, warehouse, part, now)))
        except NotDue as reason:
            reasons.append(str(reason))
    if not parts:
        raise NotDue(reasons[0])  # that of the slots matters most
    return parts


def resolve(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, now: datetime
) -> LoadRequest:
    """The request with slots and days named; by the clock of the symbols that are due.

    Raises NotDue, UsageError.
    """
    task = task_name(request)
    if task not in TASKS:
        raise UsageError("a load of ib is of one task", hint=HINT)
    symbols = tuple(s for group in universe.groups(settings.ib, request.keys) for s in group)

    def answer(conn: psycopg.Connection | None) -> Answer:
        timetable = Timetable(settings.ib, now)
        return _RESOLVERS[task](Question(timetable, request.options, symbols, conn))

    if warehouse is not None and has_landed(warehouse):
        options, due = warehouse.ask(answer)
    else:
        options, due = answer(None)
    keys = tuple(due) if due is not None and set(due) < set(symbols) else request.keys
    return replace(request, mode=task, keys=keys, options=options)


def has_landed(warehouse: Warehouse) -> bool:
    """Whether a load of this version has made the landed tables."""
    return warehouse.ask(lambda conn: all(has_relation(conn, name) for name in LAST_TABLES))


def describe_remaining(_: Settings, warehouse: Warehouse) -> Sequence[str]:
    """What a load leaves to do, with the command that does it; asks the warehouse alone."""
    query = (
        "select count(*)::int, count(distinct sample_time)::int from raw_ib.recapture "
        "where state = 'queued'"
    )
    [(contracts, slots)] = warehouse.ask(lambda conn: conn.execute(query).fetchall())
    if not contracts:
        return []
    return [
        f"{contracts:,} contracts of {slots:,} slots wait to be captured again: "
        "`loaders run ib --retry-missed`, until the next slot begins"
    ]


def named_slots(request: LoadRequest) -> list[Slot]:
    """The slots of a resolved request."""
    return [parse_slot(name) for name in request.options.get("slots", "").split(",") if name]


def named_day(request: LoadRequest) -> date:
    """The session of a resolved request."""
    return date.fromisoformat(request.options["date"])


def _resolve_snapshot(question: Question) -> Answer:
    timetable, options, conn = question.timetable, question.options, question.conn
    if "run_day" in options:
        names = [slot.name for slot in timetable.remaining_slots()]
        return {"slots": ",".join(names), "run_day": "true"}, None
    if "retry_missed" in options or question.due == "missed":
        return {"retry_missed": _queue_time(question)}, None
    if options.get("slot") == BEFORE_CLOSE:
        return {"slots": timetable.slot_before_close().name}, None
    if "slot" in options and options["slot"] != "now":
        return {"slots": timetable.named_slot(options["slot"]).name}, None
    # a slot without a record is due until the next one: late rows are flagged
    slot = timetable.current_slot(by_clock=question.due is not None)
    if question.due is None:
        return {"slots": slot.name}, None
    cursors = loads.read_cursors(conn, "chain_snapshot") if conn else {}
    left = [symbol for symbol in question.symbols if cursors.get(symbol, "") < slot.name]
    day = timetable.today
    chosen = list(landed.read_chains(conn, day, left)) if conn else []
    if question.due != "known":
        # of a symbol without contracts there is nothing but the record of that, once a slot
        recorded = landed.read_recorded_symbols(conn, day, slot.at) if conn else set()
        chosen += [s for s in left if s not in chosen and s not in recorded]
    if chosen:
        return {"slots": slot.name}, [symbol for symbol in left if symbol in chosen]
    if left:
        raise NotDue(f"discovery comes first: no contracts of {', '.join(left[:5])}")
    raise NotDue(f"the slot {slot.label} is captured")


def _queue_time(question: Question) -> str:
    """The time at which the queue is worked. Raises NotDue where nothing waits, or not yet."""
    timetable, conn = question.timetable, question.conn
    day, slot = timetable.today, timetable.last_chance_slot()
    # other symbols wait for a load of theirs, until their slot is over
    waiting = [
        queued
        for queued in (landed.read_queue(conn) if conn else ())
        if queued.symbol in question.symbols or _is_over(timetable, queued)
    ]
    is_missing = False
    if conn and slot:
        missing = landed.read_missing(conn, "chain_snapshot", day, slot.at, question.symbols)
        is_missing = any(missing.values())
    if not waiting and not is_missing:
        raise NotDue("nothing waits to be captured again")
    soonest = min((queued.next_try_at for queued in waiting), default=timetable.now)
    is_over = any(_is_over(timetable, queued) for queued in waiting)
    if question.due and not is_missing and not is_over and soonest > timetable.now:
        clock = soonest.astimezone(NEW_YORK)
        raise NotDue(f"missed contracts are tried again at {clock:%H:%M} in New York")
    return f"{timetable.now:%Y-%m-%dT%H:%MZ}"


def _is_over(timetable: Timetable, queued: landed.Queued) -> bool:
    return timetable.now >= timetable.slot_ends(queued.sample_time)


def _resolve_discovery(question: Question) -> Answer:
    timetable, conn = question.timetable, question.conn
    day = f"{timetable.discovery_session(by_clock=question.due is not None).trade_date}"
    options = {"date": day}
    cursors = loads.read_cursors(conn, "session_contract") if conn else {}
    refresh = f"{day} {timetable.ib.midday_refresh_time}"
    if timetable.is_midday() and any(cursors.get(s, "") < refresh for s in question.symbols):
        options["refresh"] = refresh
    if question.due is None:
        return options, None
    left = [s for s in question.symbols if cursors.get(s, "") < options.get("refresh", day)]
    if not left:
        raise NotDue(f"the contracts of {day} are frozen")
    failed: Mapping[str, datetime] = {}
    if conn:
        failed = loads.read_failed_discoveries(conn, timetable.today, lane_name(DISCOVER))
    chosen = [symbol for symbol in left if not timetable.must_wait(failed.get(symbol))]
    if not chosen:
        raise NotDue(f"discovery of {', '.join(left[:5])} is tried again at the next slot")
    return options | {"at": timetable.now.isoformat()}, chosen


def _resolve_close(question: Question) -> Answer:
    conn, by_clock = question.conn, question.due is not None
    session = question.timetable.close_session(by_clock=by_clock)
    day = session.trade_date
    options = {"date": f"{day}"}
    if not by_clock or not conn:
        return options, None
    # a symbol without contracts has no close, however often it is requested
    missing = landed.read_missing(conn, "chain_close", day, session.close_at, question.symbols)
    if not missing:
        raise NotDue(f"there are no contracts of {day} to capture the close of")
    cursors = loads.read_cursors(conn, "chain_close")
    left = [
        s
        for s in question.symbols
        if s in missing and (cursors.get(s, "") < f"{day}" or missing[s])
    ]
    if not left:
        raise NotDue(f"the close of {day} is captured")
    return options, left


def _resolve_interest(question: Question) -> Answer:
    timetable, options, conn = question.timetable, question.options, question.conn
    if "date" in options:
        try:
            day = date.fromisoformat(options["date"])
        except ValueError:
            raise UsageError(f"--date {options['date']}: no day", hint="2026-11-19") from None
        return {"date": f"{timetable.check_interest_day(day)}", "pass": "manual"}, None
    current = timetable.interest_pass()
    day = current.trade_date
    resolved = {"date": f"{day}", "pass": current.name}
    if question.due is None:
        return resolved, None
    counts = landed.count_contracts(conn, day) if conn else {}
    # a symbol that joined the universe since has none, however often it is requested
    symbols = [symbol for symbol in question.symbols if symbol in counts]
    if not conn or not symbols:
        raise NotDue(f"there are no contracts of {day} to request open interest of")
    attempts = [a for a in landed.read_enrichments(conn, symbols, day) if a[0] == day]
    failures = Counter(
        symbol
        for _, symbol, _, status, name in attempts
        if status != "complete" and name != "first"
    )
    settled = set()
    for _, symbol, at, status, _ in attempts:
        # what is not published yet is not missing at the first pass
        rests = current.name == "first" or timetable.now < at + INTEREST_RETRY * failures[symbol]
        if status == "complete" or (at >= current.since and rests):
            settled.add(symbol)
    left = [symbol for symbol in symbols if symbol not in settled]
    if not left:
        raise NotDue(f"the open interest of {day} was requested")
    return resolved, left


def _resolve_daily(question: Question) -> Answer:
    """The newest session that is over, of the symbols that lack it."""
    timetable, conn = question.timetable, question.conn
    day = f"{timetable.finished_session().trade_date}"
    cursors = loads.read_cursors(conn, "underlying_daily") if conn else {}
    left = [symbol for symbol in question.symbols if cursors.get(symbol, "") < day]
    if not left:
        raise NotDue(f"the day bars of {day} are loaded")
    return {"date": day}, left


_RESOLVERS: Mapping[str, Callable[[Question], Answer]] = {
    DISCOVER: _resolve_discovery,
    SNAPSHOT: _resolve_snapshot,
    CLOSE: _resolve_close,
    ENRICH: _resolve_interest,
    DAILY: _resolve_daily,
}
