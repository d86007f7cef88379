"""Due tasks: the request of each, with its slots, days and symbols named once.

What a person types (`--slot now`) and what the clock asks for become the same options, so that a
retry means the same slots. What is done already is known from the warehouse. One function for each
task, in the table below; each raises NotDue with the reason.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import psycopg

from loaders.engine.request import LoadRequest
from loaders.ib.capture.rounds import LATER
from loaders.ib.client.values import OptionContract
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
from loaders.ib.slots import (
    Slot,
    parse_session_day,
    parse_slot,
    session_before,
)
from loaders.settings import Settings
from loaders.warehouse.postgres import find_warehouse
from quotemill.errors import NotDue, UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

LAST_TABLE = "raw_ib.rejected_row"  # which the first load makes last
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
Answer = tuple[Options, Sequence[str] | None]  # options, symbols (None: all)


@dataclass(frozen=True)
class Question(Timetable):
    """A task at a time. `due` is None unless the clock asks; `conn` None before the first load."""

    options: Mapping[str, str]
    symbols: Sequence[str]
    conn: psycopg.Connection | None

    @property
    def due(self) -> str | None:
        return self.options.get(DUE)

    def lacking(self, dataset: str, point: str) -> list[str]:
        """Symbols whose cursor in a dataset has not reached a slot or a day."""
        cursors = loads.read_cursors(self.conn, dataset) if self.conn else {}
        return [symbol for symbol in self.symbols if cursors.get(symbol, "") < point]

    def lacking_slot(self, slot: Slot, recorded: Collection[str]) -> list[str]:
        """Symbols without a capture of a slot; `recorded` have a record of one, or of a try.

        A cursor beyond the slot says nothing of it: a later one was captured, and it was not.
        """
        cursors = loads.read_cursors(self.conn, "chain_snapshot") if self.conn else {}
        reached = [symbol for symbol in self.symbols if cursors.get(symbol, "") >= slot.name]
        captured = {s for s in reached if cursors[s] == slot.name or s in recorded}
        return [symbol for symbol in self.symbols if symbol not in captured]


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
        raise UsageError("an ib load has only one task", hint=HINT)
    symbols = tuple(s for group in universe.groups(settings.ib, request.keys) for s in group)

    def answer(conn: psycopg.Connection | None) -> Answer:
        return RESOLVERS[task](Question(settings.ib, now, request.options, symbols, conn))

    if warehouse is not None and has_landed(warehouse):
        options, due = warehouse.ask(answer)
    else:
        options, due = answer(None)
    keys = tuple(due) if due is not None and set(due) < set(symbols) else request.keys
    return replace(request, mode=task, keys=keys, options=options)


def has_landed(warehouse: Warehouse) -> bool:
    """Whether a load has made the landed tables."""
    return warehouse.ask(lambda conn: has_relation(conn, LAST_TABLE))


def named_slots(request: LoadRequest) -> list[Slot]:
    """The slots of a resolved request."""
    return [parse_slot(name) for name in request.options.get("slots", "").split(",") if name]


def named_day(request: LoadRequest) -> date:
    """The session of a resolved request."""
    return date.fromisoformat(request.options["date"])


def _refuse_other_day(question: Question) -> None:
    """Raises UsageError where `--date` is another day than today in New York; NotDue."""
    day = parse_session_day(question.options.get("date", "today"), question.today)
    if day != question.today:
        raise UsageError(
            f"--date {day}: quotes are only available while the session is open, and in "
            f"New York it is {question.today}",
            hint="Use --date today.",
        )


def _find_snapshot(question: Question) -> Answer:
    options, conn, by_clock = question.options, question.conn, question.due is not None
    _refuse_other_day(question)
    if "run_day" in options:
        names = [slot.name for slot in question.remaining_slots()]
        return {"slots": ",".join(names), "run_day": "true"}, None
    label = options.get("slot", "now")
    if label == BEFORE_CLOSE:
        slot = question.slot_before_close()
    elif label != "now":
        slot = question.named_slot(label)
    else:
        slot = question.current_slot(by_clock=by_clock)
    resolved = {"slots": slot.name}
    # a slot without a record is due until the next one: late rows are flagged
    recorded, left = set[str](), list[str]()
    if by_clock:
        recorded = landed.read_recorded_symbols(conn, question.today, slot.at) if conn else set()
        left = question.lacking_slot(slot, recorded)
    if "retry_missed" in options or question.due == "missed":
        ended = [symbol for symbol in question.symbols if symbol not in left]
        return resolved | {"retry_missed": "true"}, _find_lacking(question, slot, ended)
    if not by_clock:
        return resolved, None
    if not left:
        raise NotDue(f"the slot {slot.label} has been captured")
    chosen = set(landed.read_chains(conn, question.today, left)) if conn else set()
    if question.due != "known":
        # of a symbol without contracts there is nothing but the record of that, once a slot
        chosen |= set(left) - recorded
    if not chosen:
        raise NotDue(f"discovery comes first: no contracts of {', '.join(left[:5])}")
    return resolved, [symbol for symbol in left if symbol in chosen]


def _find_lacking(question: Question, slot: Slot, symbols: Sequence[str]) -> list[str]:
    """Symbols that lack contracts of a slot. Raises NotDue without any."""
    conn, day, missing = question.conn, slot.trade_date, dict[str, list[OptionContract]]()
    if conn is not None and symbols:
        missing = landed.read_missing(conn, "chain_snapshot", day, slot.at, symbols, LATER)
    lacking = [symbol for symbol in symbols if missing.get(symbol)]
    if symbols and not missing:
        raise NotDue(f"discovery comes first: no contracts of {', '.join(symbols[:5])}")
    if not lacking:
        raise NotDue(f"the slot {slot.label} is not missing any contract that may still respond")
    return lacking


def _find_discovery(question: Question) -> Answer:
    """Today's contracts, until the close; at midday once more where a setting says so."""
    session, ib, now = question.session(), question.ib, question.now
    if now > session.close_at:
        raise NotDue(f"no discovery: the session of {question.today} has ended")
    if question.due and now < question.at(ib.pre_open_time):
        raise NotDue(f"discovery is at {ib.pre_open_time} in New York")
    day = f"{session.trade_date}"
    options, left = {"date": day}, question.lacking("session_contract", day)
    if ib.midday_refresh_time and now >= question.at(ib.midday_refresh_time):
        refresh = f"{day} {ib.midday_refresh_time}"
        if behind := question.lacking("session_contract", refresh):
            options, left = options | {"refresh": refresh}, behind
    if question.due is None:
        return options, None
    if not left:
        raise NotDue(f"the contracts of {day} are frozen")
    failed: Mapping[str, datetime] = {}
    if question.conn:
        lane = lane_name(DISCOVER)
        failed = loads.read_failed_discoveries(question.conn, question.today, lane)
    # what failed waits for the slot after its failure
    begun = max((slot.at for slot in session.slots if slot.at <= now), default=None)
    chosen = [s for s in left if s not in failed or (begun and failed[s] < begun)]
    if not chosen:
        raise NotDue(f"discovery of {', '.join(left[:5])} is retried at the next slot")
    return options | {"at": now.isoformat()}, chosen


def _find_close(question: Question) -> Answer:
    """Today's close, from `close_snapshot_time` on; by the clock until `close_snapshot_until`."""
    _refuse_other_day(question)
    session, ib, conn = question.session(), question.ib, question.conn
    if question.now < question.at(ib.close_snapshot_time):
        raise NotDue(f"the close snapshot is at {ib.close_snapshot_time} in New York")
    if question.due and question.now > question.at(ib.close_snapshot_until):
        raise NotDue(f"the close snapshot of {question.today} ended at {ib.close_snapshot_until}")
    day = session.trade_date
    options = {"date": f"{day}"}
    if question.due is None or not conn:
        return options, None
    # a symbol without contracts has no close, however often it is requested
    missing = landed.read_missing(conn, "chain_close", day, session.close_at, question.symbols)
    if not missing:
        raise NotDue(f"no contracts of {day} for the close snapshot")
    behind = question.lacking("chain_close", f"{day}")
    left = [s for s in question.symbols if s in missing and (s in behind or missing[s])]
    if not left:
        raise NotDue(f"the close of {day} has been captured")
    return options, left


def _find_interest(question: Question) -> Answer:
    """The open interest of the session before today's, or of a day that `--date` names.

    Until the next publication the gateway shows that of the session before, so what the morning
    missed can be had all day (`late`).
    """
    options, conn, ib = question.options, question.conn, question.ib
    if "date" in options:
        return {"date": f"{_read_day(options['date'], question.today)}", "pass": "manual"}, None
    session, day = question.session(), session_before(question.today).trade_date
    passes = (
        ("late", session.open_at),
        ("confirm", question.at(ib.enrich_confirm_time)),
        ("first", question.at(ib.enrich_time)),
    )
    if question.now < question.at(ib.enrich_time):
        raise NotDue(f"open interest is requested at {ib.enrich_time} in New York")
    current, since = next((name, at) for name, at in passes if question.now >= at)
    resolved = {"date": f"{day}", "pass": current}
    if question.due is None:
        return resolved, None
    counts = landed.count_contracts(conn, day) if conn else {}
    # a symbol that joined the universe since has none, however often it is requested
    symbols = [symbol for symbol in question.symbols if symbol in counts]
    if not conn or not symbols:
        raise NotDue(f"no contracts of {day} for open interest")
    attempts = [a for a in landed.read_enrichments(conn, symbols, day) if a[0] == day]
    failures = Counter(
        symbol
        for _, symbol, _, status, name in attempts
        if status != "complete" and name != "first"
    )
    settled = set()
    for _, symbol, at, status, _ in attempts:
        # what is not published yet is not missing at the first pass
        rests = current == "first" or question.now < at + INTEREST_RETRY * failures[symbol]
        if status == "complete" or (at >= since and rests):
            settled.add(symbol)
    left = [symbol for symbol in symbols if symbol not in settled]
    if not left:
        raise NotDue(f"the open interest of {day} has been requested")
    return resolved, left


def _read_day(text: str, today: date) -> date:
    """The day of `--date`. Raises UsageError where its open interest cannot be had; NotDue."""
    day = parse_session_day(text, today)
    if day >= today:
        raise UsageError(
            f"--date {day}: the open interest of a session is published on the next morning"
        )
    return day


def _find_daily(question: Question) -> Answer:
    """The newest session that is over, of the symbols that lack it."""
    day = f"{question.finished_session().trade_date}"
    left = question.lacking("underlying_daily", day)
    if not left:
        raise NotDue(f"the day bars of {day} are loaded")
    return {"date": day}, left


RESOLVERS: Mapping[str, Callable[[Question], Answer]] = {
    DISCOVER: _find_discovery,
    SNAPSHOT: _find_snapshot,
    CLOSE: _find_close,
    ENRICH: _find_interest,
    DAILY: _find_daily,
}
