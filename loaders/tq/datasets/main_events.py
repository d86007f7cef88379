"""Dataset `main_events`: when which contract became the main one, by either of two ways to know it.

Keys are `SHFE.cu backtest` and `SHFE.cu history`. Each answer is the whole window, and replaces what was
stored of its route: a change of the past is a revision, and said. An answer that is empty, covers less
than what is stored, or does not go on is a failure.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from loaders.engine.outcome import Outcome, records
from loaders.errors import UpstreamError
from loaders.tq import stored
from loaders.tq.client.answers import MainEvents
from loaders.tq.context import Context, Dataset
from loaders.tq.errors import TqPermissionError
from loaders.tq.tables import MAIN_EVENT, MAIN_HARVEST
from loaders.tq.trading_day import trading_day_of

ROUTES = ("backtest", "history")
Event = tuple[date, datetime, str | None]  # trading day, clock, contract


def keys(varieties: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{variety} {route}" for variety in varieties for route in ROUTES)


def fetch(run: Context, wanted: Sequence[str]) -> Iterator[Outcome]:
    return run.each(wanted, partial(_events, run))


def _events(run: Context, key: str) -> Outcome:
    variety, route = key.split(" ")
    before = run.ask(lambda conn: stored.covered(conn, variety, route))
    first = min([run.first, *([before.first_day] if before else [])])
    try:
        answer = run.harvest.main_events(variety, first, run.today, route)
    except TqPermissionError as error:
        if route == run.settings.route:
            raise
        return Outcome(key, skipped=str(error))
    first_day, last_day, events = _checked(answer, variety, before, run.days)
    if before:
        old = run.ask(lambda conn: stored.events(conn, variety, route))
        if revised := first_difference(old, events, before.last_day):
            run.load.warn(
                f"the main contracts of {variety} were revised from {revised} on ({route}): "
                "the schedule is built anew from there"
            )
    ended = run.ended(variety)
    stands = None
    if ended and last_day < ended:
        stands = (
            f"the main contracts of {variety} end {last_day}, though the trading day {ended} is over: "
            f"the source stands still ({route})"
        )
    lineage = {"source_route": route} | run.lineage
    of_route = {"variety": variety, "route": route}
    rows = [
        of_route | {"trading_day": day, "event_at": clock, "contract": contract} | lineage
        for day, clock, contract in events
    ]
    harvest = of_route | {"first_day": first_day, "last_day": last_day} | lineage
    return Outcome(key, rows, cursor=last_day, beside=[harvest], failure=stands)


def _checked(
    answer: MainEvents, variety: str, before: stored.Covered | None, days: Sequence[date]
) -> tuple[date, date, list[Event]]:
    """The days covered, and the events by trading day. Raises UpstreamError."""
    first, last, route = answer.first_day, answer.last_day, answer.route
    if first is None or last is None or not any(contract for _, contract in answer.events):
        raise UpstreamError(f"the source knows no main contract of {variety} ({route})")
    if before and (first > before.first_day or last < before.last_day):
        raise UpstreamError(
            f"the main contracts of {variety} are told from {first} to {last}, less than the "
            f"{before.first_day} to {before.last_day} that are stored: these are kept ({route})"
        )
    foreign = {c for _, c in answer.events if c and stored.variety_of(c) != variety}
    if foreign:
        raise UpstreamError(f"{', '.join(sorted(foreign))}: no contract of {variety} ({route})")
    events: list[Event] = []
    for number, (clock, contract) in enumerate(sorted(answer.events, key=lambda event: event[0])):
        day = first if not number else trading_day_of(clock, days)
        if day is not None and day <= last:
            events.append((day, clock, contract))
    return first, last, events


def first_difference(old: Sequence[Event], new: Sequence[Event], last: date) -> date | None:
    """The first trading day up to `last` on which two lists of events tell another contract."""

    def on(events: Sequence[Event]) -> dict[date, str | None]:
        return {day: contract for day, _, contract in events if day <= last}  # the last one wins

    (one, other), held, told = (on(old), on(new)), None, None
    for day in sorted(one.keys() | other.keys()):
        held, told = one.get(day, held), other.get(day, told)
        # what was before the first of the stored ones is a longer window, no revision
        if held != told and old and day >= old[0][0]:
            return day
    return None


def _route_of(row: Any) -> str:
    return f"{row['variety']} {row['route']}"


DATASET = Dataset(
    "main_events",
    MAIN_EVENT,
    "backtest",
    fetch,
    records,
    key_of=_route_of,
    beside=MAIN_HARVEST,
)
