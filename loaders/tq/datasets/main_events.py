"""Dataset `main_events`.

When each contract became the main one, by the route that builds the schedule (`tq.route`), or in a
cross-check by the other one.

Keys are `SHFE.cu backtest` and `SHFE.cu history`. Each answer is the whole window and replaces what
was stored of its route; a change of the past is a revision and reported. An answer that is empty,
covers less than what is stored, or does not go on is a failure. A variety that is neither quoted
nor traded any more, while others of its exchange are, is left as it is, with a warning.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.tq import landed
from loaders.tq.client.answers import MainEvents
from loaders.tq.context import Context, Dataset, describe
from loaders.tq.errors import TqPermissionError, TqTransport, UnknownSymbol
from loaders.tq.tables import MAIN_EVENT, MAIN_HARVEST
from loaders.tq.trading_day import trading_day_of
from quotemill.errors import UpstreamError

ROUTES = ("backtest", "history")
QUIET_DAYS = 5  # trading days without a quote after which a variety is left alone
SWITCH_OFF = "Remove it from tq.varieties to stop requesting it"
Event = tuple[date, datetime, str | None]  # trading day, clock, contract


def list_keys(varieties: Sequence[str], route: str) -> tuple[str, ...]:
    return tuple(f"{variety} {route}" for variety in varieties)


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    return ctx.load_each(keys, partial(_load_events, ctx))


def _load_events(ctx: Context, key: str) -> Outcome:
    variety, route = key.split(" ")
    before = ctx.ask(lambda conn: landed.coverage(conn, variety, route))
    first = min([ctx.first_day, *([before.first_day] if before else [])])
    ended, quoted = ctx.last_ended_day(variety), ctx.last_quoted_day(variety)
    settled = ctx.last_settled_day(variety)
    last = ctx.today
    if is_quiet := _is_quiet(ctx, variety, quoted, settled, ended):
        since = quoted or "its start"
        why = f"{variety} has not been quoted since {since}, although others of its exchange have"
        if before and (quoted is None or before.last_day >= quoted):
            return _skip_variety(ctx, key, why)
        ctx.load.warn(f"{why}. {SWITCH_OFF}")
        last = quoted or last
    if before:  # the time of a load may be before that of an earlier one
        last = max(last, before.last_day)
    try:
        answer = ctx.harvest.main_events(variety, first, last, route)
        first_day, last_day, events = check_answer(ctx, answer, variety, before)
    except TqPermissionError as error:
        if route == ctx.settings.route:
            return Outcome(key, failure=describe(error))
        return Outcome(key, skipped=describe(error))
    except TqTransport:
        raise
    except (UnknownSymbol, UpstreamError):
        if expired := _last_expiry(ctx, variety):
            return _skip_variety(
                ctx, key, f"{variety} is no longer traded: its last contract expired on {expired}"
            )
        raise
    if before:
        old = ctx.ask(lambda conn: landed.events(conn, variety, route))
        if revised := first_difference(old, events, before.last_day):
            ctx.load.warn(
                f"the main contracts of {variety} were revised from {revised} on "
                f"({route}): the schedule is rebuilt from there"
            )
    failure = None
    reached = settled if route == "history" else last_day
    if ended and not is_quiet and (reached is None or reached < ended):
        failure = (
            f"the source shows nothing of {variety} after {reached or 'its start'}, although the "
            f"trading day {ended} has ended: the source has stopped updating ({route})"
        )
    lineage = {"source_route": route} | ctx.lineage
    names = {"variety": variety, "route": route}
    rows = [
        names | {"trading_day": day, "event_at": clock, "contract": contract} | lineage
        for day, clock, contract in events
    ]
    harvest = names | {"first_day": first_day, "last_day": last_day} | lineage
    return Outcome(key, rows, cursor=last_day, beside=[harvest], failure=failure)


def _is_quiet(
    ctx: Context, variety: str, quoted: date | None, settled: date | None, ended: date | None
) -> bool:
    """Whether a variety had no quote and no trade for long, though its exchange goes on."""
    if ended is None or settled is None or settled < ended:
        return False
    last = quoted or date.min
    if sum(last < day <= ended for day in ctx.days) < QUIET_DAYS:
        return False
    return not ctx.ask(lambda conn: landed.is_traded_after(conn, variety, last))


def _skip_variety(ctx: Context, key: str, why: str) -> Outcome:
    ctx.load.warn(f"{why}. {SWITCH_OFF}")
    return Outcome(key, skipped=why)


def _last_expiry(ctx: Context, variety: str) -> date | None:
    """The last trading day of a variety whose contracts have all expired; None for others."""
    days = [row["expire_date"] for row in ctx.fetch_instruments(variety).contracts]
    over = [day for day in days if day is not None and day < ctx.today]
    return max(over) if over and len(over) == len(days) else None


def check_answer(
    ctx: Context, answer: MainEvents, variety: str, before: landed.Coverage | None
) -> tuple[date, date, list[Event]]:
    """The days covered, and the events by trading day. Raises UpstreamError."""
    first, last, route = answer.first_day, answer.last_day, answer.route
    if first is None or last is None or not any(contract for _, contract in answer.events):
        raise UpstreamError(f"the source has no main contract of {variety} ({route})")
    if before and (first > before.first_day or last < before.last_day):
        raise UpstreamError(
            f"the source gives the main contracts of {variety} from {first} to {last}, less than "
            f"the stored {before.first_day} to {before.last_day}: stored ones are kept ({route})"
        )
    # of a renamed product the list has contracts with its earlier code
    listed = {row["contract"] for row in ctx.fetch_instruments(variety).contracts}
    others = {c for _, c in answer.events if c and landed.variety_of(c) != variety}
    if foreign := others - listed:
        raise UpstreamError(f"{', '.join(sorted(foreign))}: not a contract of {variety} ({route})")
    events: list[Event] = []
    for number, (clock, contract) in enumerate(sorted(answer.events, key=lambda event: event[0])):
        day = first if not number else trading_day_of(clock, ctx.days)
        if day is not None and day <= last:
            events.append((day, clock, contract))
    return first, last, events


def first_difference(old: Sequence[Event], new: Sequence[Event], last: date) -> date | None:
    """The first trading day up to `last` on which two lists of events differ."""

    def by_day(events: Sequence[Event]) -> dict[date, str | None]:
        return {day: contract for day, _, contract in events if day <= last}  # the last one wins

    old_days, new_days = by_day(old), by_day(new)
    old_contract = new_contract = None
    for day in sorted(old_days.keys() | new_days.keys()):
        old_contract = old_days.get(day, old_contract)
        new_contract = new_days.get(day, new_contract)
        # a day before the first stored one is a longer window, no revision
        if old_contract != new_contract and old and day >= old[0][0]:
            return day
    return None


def _row_key(row: Any) -> str:
    return f"{row['variety']} {row['route']}"


DATASET = Dataset(
    "main_events",
    MAIN_EVENT,
    "main_events",
    fetch,
    beside=MAIN_HARVEST,
    keys=Keys(row_key=_row_key),
)
