"""Whether a request makes sense, before anything is opened, and what a moment makes of it.

A request's mode is its task. What a person types (`--slot now`) or the clock asks for (`due`) is made into
named slots and days once (`resolve`), so that a retry means the same ones.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

import psycopg

from loaders.engine.request import LoadRequest
from loaders.errors import NotDue, SettingsError, UsageError
from loaders.ib.client.library import check_client
from loaders.ib.contracts import universe
from loaders.ib.planning import record, stored
from loaders.ib.planning.day_tasks import Agenda, oldest_set
from loaders.ib.slots import NEW_YORK, Slot, date_in_new_york, slot_of
from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse, find_warehouse

DISCOVER, SNAPSHOT, CLOSE, ENRICH = TASKS = ("discover", "snapshot", "close", "enrich")
BOTH = ("incremental", "init")  # words of the command line for what is due at this minute
# what a person may add to a task
OPTIONS = {
    DISCOVER: (),
    SNAPSHOT: ("slot", "run_day", "retry_missed"),
    CLOSE: (),
    ENRICH: ("date",),
}
STATE = "raw_ib.recapture"  # is there once a load has made the landed tables
DUE = (
    "due"  # option: only if the clock says so; `known` only of symbols whose contracts are at hand
)
# open interest that did not come is asked for again: later after each time that it was in vain
OI_AGAIN = timedelta(minutes=30)
HINT = "loaders run ib --task discover|snapshot|close|enrich"


class Asked(NamedTuple):
    """What a moment makes of a request. `symbols` are those that have it to do, None all that were asked."""

    options: Mapping[str, Any]
    symbols: Sequence[str] | None = None


def missing_settings(settings: Settings) -> str | None:
    """Why this source cannot be loaded with these settings, or None."""
    return None if settings.ib.host else "IB_HOST is not set"


def check_request(settings: Settings, request: LoadRequest) -> None:
    """Raises UsageError, SettingsError for what can be known before anything is opened."""
    if missing := missing_settings(settings):
        raise SettingsError(
            f"no IB gateway is configured: {missing}",
            hint="IB_HOST and IB_PORT, or try `loaders sandbox ib`",
        )
    check_client()
    mode = task_of(request)
    # a retry names no task yet: its job knows it
    if mode not in (*TASKS, *BOTH):
        raise UsageError(f"--task {request.mode}: unknown", hint=HINT)
    given = set(request.options) - {DUE}
    if foreign := sorted(given - set(OPTIONS.get(mode, ()))):
        raise UsageError(f"--{foreign[0].replace('_', '-')} does not go with --task {mode}")
    if len(given) > 1:
        raise UsageError("give one of --slot, --run-day and --retry-missed")
    if request.datasets is not None:
        raise UsageError("ib takes no --dataset: its tasks stand for them", hint=HINT)
    if request.since or request.until:
        raise UsageError(
            "ib takes no --since or --until: what was not captured cannot be had later"
        )
    universe.groups(settings.ib, request.keys)


def task_of(request: LoadRequest) -> str:
    """The task of a request; an option of slots says it where no --task does."""
    if request.mode not in BOTH:
        return request.mode
    if any(name in request.options for name in OPTIONS[SNAPSHOT]):
        return SNAPSHOT
    return ENRICH if "date" in request.options else request.mode


def parts(
    settings: Settings, request: LoadRequest, as_of: datetime | None
) -> Sequence[LoadRequest]:
    """A task by name, or what is due at this moment. Raises NotDue where nothing is.

    A slot does not wait for discovery: first come the symbols that have contracts, be they an older
    session's. Who has none keeps nobody waiting.
    """
    if request.options or request.mode not in BOTH or missing_settings(settings):
        return (replace(request, mode=task_of(request)),)
    order = (
        (SNAPSHOT, {DUE: "known"}),
        (DISCOVER, {DUE: "now"}),
        (SNAPSHOT, {DUE: "now"}),
        (SNAPSHOT, {DUE: "missed"}),
        (CLOSE, {DUE: "now"}),
        (ENRICH, {DUE: "now"}),
    )
    moment, found, why = as_of or now(settings), [], []
    warehouse = find_warehouse(settings)
    for task, options in order:
        part = replace(request, mode=task, options=options)
        try:
            resolve(settings, warehouse, part, moment)
        except NotDue as reason:
            why.append(str(reason))
            continue
        found.append(part)
    if not found:
        # of several reasons that of the slots: who asks at this minute asks for one
        raise NotDue(why[0])
    # the slot may be captured by then, which the load sees itself
    return tuple(found)


def now(settings: Settings) -> datetime:
    """The moment of a load that is told none: the gateway's own where `ib.clock` says so, UTC."""
    if settings.ib.clock == "machine":
        return datetime.now(UTC)
    check_client()
    from loaders.ib.client import live_gateway

    with live_gateway.gateway(settings.ib) as gateway:
        return gateway.server_time()


def lane(request: LoadRequest) -> str:
    """A task each: a slow discovery never costs a slot."""
    return f"ib_{task_of(request)}"


def when_busy(_: Settings, request: LoadRequest) -> Literal["fail", "skip", "wait"]:
    """What is done by the clock leaves it to the load that is at it."""
    return "skip" if DUE in request.options else "fail"


def resolve(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, now: datetime
) -> LoadRequest:
    """The request with its slots and days by name; by the clock of the symbols that have it to do. Raises
    NotDue, UsageError."""
    task, agenda = task_of(request), Agenda(settings.ib, now)
    if task not in TASKS:
        raise UsageError("a load of ib is of one task", hint=HINT)
    symbols = tuple(s for group in universe.groups(settings.ib, request.keys) for s in group)

    work = partial(_RESOLVERS[task], agenda, request.options, symbols)
    # no load has made tables yet: nothing is done of anything
    known = warehouse is not None and warehouse.ask(lambda conn: has_relation(conn, STATE))
    found = warehouse.ask(work) if warehouse is not None and known else work(None)
    options = {name: str(value) for name, value in found.options.items()}
    narrow = found.symbols is not None and set(found.symbols) < set(symbols)
    keys = tuple(found.symbols or ()) if narrow else request.keys
    return replace(request, mode=task, keys=keys, options=options)


def _snapshot(
    agenda: Agenda,
    options: Mapping[str, str],
    symbols: Sequence[str],
    conn: psycopg.Connection | None,
) -> Asked:
    due = options.get(DUE)
    if "run_day" in options:
        return Asked({"slots": _names(agenda.slots_left()), "run_day": "true"})
    if "retry_missed" in options or due == "missed":
        return Asked({"retry_missed": _missed(agenda, conn, symbols, by_clock=due is not None)})
    if "slot" in options and options["slot"] != "now":
        return Asked({"slots": agenda.slot_named(options["slot"]).name})
    slot, own = agenda.slot_now(in_time=False), lane(LoadRequest("ib", SNAPSHOT))
    # what was begun in time, and cut off, belongs to the slot until the next one begins
    if due is not None and not (conn and record.was_cut_off(conn, own, slot.name)):
        slot = agenda.slot_now(in_time=True)
    if due is None:
        return Asked({"slots": slot.name})
    done = record.last_done(conn, "chain_snapshot") if conn else {}
    left = [symbol for symbol in symbols if done.get(symbol, "") < slot.name]
    day = agenda.today
    have = stored.with_contracts(conn, day, oldest_set(day), left) if conn else set()
    if due == "known":
        chosen = [symbol for symbol in left if symbol in have]
    else:
        # who has no contracts has nothing but the record of that, once a slot
        told = stored.told(conn, day, slot.at) if conn else set()
        chosen = [symbol for symbol in left if symbol in have or symbol not in told]
    if chosen:
        return Asked({"slots": slot.name}, chosen)
    without = f"discovery comes first: no contracts of {', '.join(left[:5])}"
    raise NotDue(without if left else f"the slot {slot.label} is captured")


def _missed(
    agenda: Agenda, conn: psycopg.Connection | None, symbols: Sequence[str], *, by_clock: bool
) -> str:
    """The moment at which the queue is worked. Raises NotDue where nothing waits, or not yet."""
    # other symbols wait for a load of theirs, until their session is over
    waiting = [
        queued
        for queued in (stored.queue(conn) if conn else ())
        if queued.symbol in symbols or date_in_new_york(queued.sample_time) < agenda.today
    ]
    slot = agenda.last_chance()
    day = agenda.today
    lacking = (
        conn
        and slot
        and stored.lacking(conn, "chain_snapshot", slot.at, day, oldest_set(day), symbols)
    )
    if not waiting and not lacking:
        raise NotDue("nothing waits to be captured again")
    soonest = min((queued.next_try_at for queued in waiting), default=agenda.now)
    over = any(date_in_new_york(queued.sample_time) < agenda.today for queued in waiting)
    if by_clock and not lacking and not over and soonest > agenda.now:
        clock = soonest.astimezone(NEW_YORK)
        raise NotDue(f"what was missed is tried again at {clock:%H:%M} in New York")
    return f"{agenda.now:%Y-%m-%dT%H:%MZ}"


def _discover(
    agenda: Agenda,
    options: Mapping[str, str],
    symbols: Sequence[str],
    conn: psycopg.Connection | None,
) -> Asked:
    by_clock = DUE in options
    day = agenda.discovery(by_clock=by_clock).trade_date
    found: dict[str, Any] = {"date": day}
    done = record.last_done(conn, "session_contract") if conn else {}
    refresh = f"{day} {agenda.ib.midday_refresh_time}"
    if agenda.midday() and any(done.get(s, "") < refresh for s in symbols):
        found["refresh"] = refresh
    if not by_clock:
        return Asked(found)
    left = [s for s in symbols if done.get(s, "") < found.get("refresh", f"{day}")]
    if not left:
        raise NotDue(f"the contracts of {day} are frozen")
    failed = record.failed_discoveries(conn, day, lane(LoadRequest("ib", DISCOVER))) if conn else {}
    chosen = [symbol for symbol in left if not agenda.rests(failed.get(symbol))]
    if not chosen:
        raise NotDue(f"discovery of {', '.join(left[:5])} is tried again at the next slot")
    return Asked(found | {"at": agenda.now.isoformat()}, chosen)


def _close(
    agenda: Agenda,
    options: Mapping[str, str],
    symbols: Sequence[str],
    conn: psycopg.Connection | None,
) -> Asked:
    session = agenda.close(by_clock=DUE in options)
    day = session.trade_date
    if DUE not in options or not conn:
        return Asked({"date": day})
    # who has no contracts has no close, however often it is asked
    oldest = oldest_set(day)
    have = stored.with_contracts(conn, day, oldest, symbols)
    if not have:
        raise NotDue(f"there are no contracts of {day} to capture the close of")
    done = record.last_done(conn, "chain_close")
    lacking = stored.lacking(conn, "chain_close", session.close_at, day, oldest, symbols)
    left = [s for s in symbols if s in have and (done.get(s, "") < f"{day}" or s in lacking)]
    if not left:
        raise NotDue(f"the close of {day} is captured")
    return Asked({"date": day}, left)


def _enrich(
    agenda: Agenda,
    options: Mapping[str, str],
    symbols: Sequence[str],
    conn: psycopg.Connection | None,
) -> Asked:
    if "date" in options:
        try:
            day = date.fromisoformat(options["date"])
        except ValueError:
            raise UsageError(f"--date {options['date']}: no day", hint="2026-11-19") from None
        return Asked({"date": agenda.enriched_day(day), "pass": "manual"})
    asked = agenda.enriched()
    day = asked.trade_date
    found = {"date": day, "pass": asked.which}
    if DUE not in options:
        return Asked(found)
    frozen = stored.frozen_counts(conn, day) if conn else {}
    # one that came to the universe since has none, however often it is asked
    symbols = [symbol for symbol in symbols if symbol in frozen]
    if not conn or not symbols:
        raise NotDue(f"there are no contracts of {day} to ask open interest of")
    tried = [t for t in stored.enrichments(conn, symbols, day) if t[0] == day]
    in_vain = Counter(
        s for _, s, _, status, which in tried if status != "complete" and which != "first"
    )
    settled = set()
    for _, symbol, at, status, _ in tried:
        # what is not published yet is not missing at the first pass
        rests = asked.which == "first" or agenda.now < at + OI_AGAIN * in_vain[symbol]
        if status == "complete" or (at >= asked.since and rests):
            settled.add(symbol)
    left = [symbol for symbol in symbols if symbol not in settled]
    if not left:
        raise NotDue(f"the open interest of {day} was asked for")
    return Asked(found, left)


_RESOLVERS = {DISCOVER: _discover, SNAPSHOT: _snapshot, CLOSE: _close, ENRICH: _enrich}


def slots_of(request: LoadRequest) -> list[Slot]:
    """The slots of a resolved request."""
    return [slot_of(name) for name in request.options.get("slots", "").split(",") if name]


def day_of(request: LoadRequest) -> date:
    """The session of a resolved request."""
    return date.fromisoformat(request.options["date"])


def _names(slots: Sequence[Slot]) -> str:
    return ",".join(slot.name for slot in slots)
