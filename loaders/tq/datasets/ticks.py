"""Dataset `ticks`: ticks of scheduled days to the store, then the copies of their index rows.

Keys are `KQ.m@SHFE.cu SHFE.cu2601 2025-11-25`. Days are fetched and sifted; those of a trading day
are written together, awaited and read back, then their rows of the store's index are written, and
only then their outcomes are yielded (loaders.tq.tick_days.batch). After a kill in between the next
load fetches what is not stored, and the store replaces a day in one transaction.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from operator import itemgetter

import pyarrow as pa

from loaders.engine.outcome import Outcome, Stopped
from loaders.engine.source import Keys
from loaders.ticks.frame import day_frame
from loaders.tq import landed
from loaders.tq.client.answers import take_table
from loaders.tq.context import Context, Dataset, describe, source_gone
from loaders.tq.errors import TqPermissionError, TqTimeout, TqTransport, UnknownSymbol
from loaders.tq.live.reconcile import compare_recorded
from loaders.tq.tables import SYMBOL_DAY, TICK_REVISION
from loaders.tq.tick_days.batch import Batch, CheckedDay
from loaders.tq.tick_days.conversion import count_outside, sift_ticks
from loaders.tq.tick_days.fetch import DAY_ERRORS, Answer, NotAsked, fetch_days
from loaders.tq.tick_days.no_data_days import (
    keep_stored_ticks,
    note_silence,
    record_empty_day,
    record_failure,
)
from loaders.tq.tick_days.recent_ticks import (
    LACKING,
    NEWEST,
    NO_ANSWER,
    NO_PERMISSION,
    fetch_newest,
)
from loaders.tq.tick_days.rules import describe_gap, find_loss, traded_lots
from loaders.tq.tick_days.schedule import Scheduled, key_text, parse_key
from loaders.tq.trading_day import bounds, nanoseconds, sessions_on, spans
from quotemill.errors import DataQualityError, UpstreamError
from quotemill.ticks.questdb_http import StoreError
from quotemill.warehouse.postgres import WarehouseAway

HISTORY, NEWEST_ROUTE = "ticks", "recent_ticks"
PACKAGE_DAYS = 20  # whose ledger rows land as one package, unless a trading day has more


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """The outcomes of days, which are in the order of trading days; each of these is a batch."""
    days = [ctx.schedule[parse_key(key)] for key in keys]
    last_keys = {day.trading_day: day.key for day in days}
    without_history = ((day, TqPermissionError(LACKING)) for day in days)
    batch, unlanded = Batch(ctx), 0
    with closing(fetch_days(ctx, days) if ctx.history else without_history) as answers:
        for day, answer in answers:
            item = check_day(ctx, day, answer)
            batch.add(item)
            is_gone = isinstance(item, Outcome) and item.gone is not None
            is_last = day.key == last_keys[day.trading_day]
            if is_gone or is_last or batch.is_full:
                outcomes = batch.write()
                unlanded += len(outcomes)
                yield from outcomes
            if is_gone:
                return
            if is_last and unlanded >= PACKAGE_DAYS:
                unlanded = 0
                yield Outcome(key_text(day.key), is_part=True)  # what was written lands


def check_day(ctx: Context, day: Scheduled, answer: Answer) -> Outcome | CheckedDay:
    """A day to be written, or its outcome."""
    key = key_text(day.key)
    try:
        return _load_history(ctx, day, answer)
    except (Stopped, StoreError, WarehouseAway):
        raise
    except NotAsked as error:
        return Outcome(key, failure=describe(error))
    except TqTimeout as error:
        return (_fail if ctx.history_gave else note_silence)(ctx, day, describe(error))
    except (*DAY_ERRORS, UnknownSymbol) as error:
        return _fail(ctx, day, describe(error))
    except TqTransport as error:
        return Outcome(key, failure=describe(error), gone=source_gone(error))
    except (UpstreamError, DataQualityError) as error:
        return _fail(ctx, day, describe(error))


def _fail(ctx: Context, day: Scheduled, why: str) -> Outcome:
    keep = record_failure if ctx.stored_day(day.key) is None else keep_stored_ticks
    return keep(ctx, day, why)


def _load_history(ctx: Context, day: Scheduled, answer: Answer) -> Outcome | CheckedDay:
    """Load a day of the history; the permission may end in the middle."""
    if isinstance(answer, TqPermissionError):
        return _load_recent(ctx, day)
    if isinstance(answer, Exception):
        raise answer
    if answer is None:
        if ctx.stored_day(day.key) is not None:
            return keep_stored_ticks(ctx, day, "no ticks received", is_sure=ctx.history_gave)
        return record_empty_day(ctx, day, _traded(ctx, day))
    ticks = take_table(answer)
    compare_recorded(ctx, day.contract, ticks)
    item = _check_ticks(ctx, day, ticks, HISTORY)
    ctx.history_gave = True
    return item


def _load_recent(ctx: Context, day: Scheduled) -> Outcome | CheckedDay:
    """Load a day from the newest ticks, where these hold it from its start on."""
    try:
        recent = fetch_newest(ctx, day.contract).get(day.trading_day)
    except (
        NO_ANSWER
    ) as error:  # says nothing of the day; without the permission nothing is recorded
        return Outcome(key_text(day.key), failure=f"latest ticks: {describe(error)}")
    if recent is None:
        return Outcome(key_text(day.key), skipped=NO_PERMISSION)
    return _check_ticks(ctx, day, recent.ticks, NEWEST_ROUTE, hole=recent.hole)


def _check_ticks(
    ctx: Context, day: Scheduled, ticks: pa.Table, route: str, *, hole: str | None = None
) -> Outcome | CheckedDay:
    """The day to be written, or why it is not.

    `hole`: what a recorder missed, which no later load without the history can have.
    """
    key = day.key
    start, end = bounds(day.trading_day, ctx.days)
    sifted = sift_ticks(ticks, key, start, end)
    if not sifted.ticks.num_rows:
        raise DataQualityError(f"all {sifted.refused:,} ticks of the day were rejected")
    traded = _traded(ctx, day)
    # without a day bar the day must have a tick from then on
    last = ctx.last_minutes(day.variety, day.trading_day) if traded is None else None
    until = nanoseconds(last) if last else None
    stored = ctx.stored_day(key)
    if stored is not None and not ctx.load.request.accepts_loss_of("ticks"):
        asked = {"by_name": ctx.by_name, "refetches": ctx.refetches}
        if loss := find_loss(sifted.ticks, stored, traded, until, **asked):
            return keep_stored_ticks(ctx, day, loss, is_sure=True)
    ctx.no_data.take_back([key])
    gap = hole or describe_gap(sifted.ticks, traded, until)
    warn_of_oddities(ctx, day, sifted.ticks, gap, route, is_recorded=hole is not None)
    frame = day_frame(sifted.ticks, key, segment_id=day.segment_id, schedule_hash=day.schedule_hash)
    return CheckedDay(
        day, frame, sifted.rejected, traded_lots(sifted.ticks), traded=traded, gap=gap, route=route
    )


def warn_of_oddities(
    ctx: Context,
    day: Scheduled,
    ticks: pa.Table,
    gap: str | None,
    route: str,
    *,
    is_recorded: bool = False,
) -> None:
    """Report what is odd about a day that lands all the same."""
    if gap:
        source = "" if route == HISTORY else f", of the latest {NEWEST:,} ticks"
        source = ", of recorded ticks" if is_recorded else source
        text = f"{day.contract} {day.trading_day}: {gap}{source}: stored as short"
        ctx.load.warn(text)
    versions = ctx.ask(lambda conn: landed.sessions(conn, day.variety))
    hours = spans(day.trading_day, sessions_on(day.trading_day, versions), ctx.days)
    if strays := count_outside(ticks["datetime_ns"].to_numpy(), hours):
        text = f"{day.contract} {day.trading_day}: {strays:,} ticks outside today's trading hours"
        ctx.load.log("info", text, {"ticks": strays})


def _traded(ctx: Context, day: Scheduled) -> int | None:
    """Lots of the final day bar."""
    return ctx.ask(lambda conn: landed.volume(conn, day.contract, day.trading_day))


DATASET = Dataset(
    "ticks",
    SYMBOL_DAY,
    HISTORY,
    fetch,
    beside=TICK_REVISION,
    keys=Keys(part="ticks", row_key=itemgetter("symbol"), most=1_000),
)
