"""Stored ticks and a new answer for their day: which of them stay.

An answer that is less than what is stored never replaces it, but in a load that accepts the loss. A
short day is asked again under the rule of days without ticks (loaders.tq.tick_days.no_data_days),
and takes an answer that has more.
"""

from dataclasses import replace

import pyarrow as pa

from loaders.engine.outcome import Outcome
from loaders.ticks.store import EmptyStatus, StoredDay
from loaders.tq.context import Context
from loaders.tq.tick_days.completeness import (
    describe_gap,
    lacks_lots,
    lacks_ticks,
    rank,
    traded_lots,
)
from loaders.tq.tick_days.no_data_days import count_night, is_over
from loaders.tq.tick_days.schedule import Scheduled, key_text
from loaders.tq.trading_day import nanoseconds


def find_gap(ctx: Context, day: Scheduled, ticks: pa.Table, traded: int | None) -> str | None:
    """What the ticks of a day leave out; `traded`: lots of its final bar."""
    return describe_gap(ticks, traded, due_until(ctx, day, traded))


def due_until(ctx: Context, day: Scheduled, traded: int | None) -> int | None:
    """The ns from which on a day without a day bar must have a tick."""
    if traded is not None:
        return None
    return nanoseconds(ctx.last_minutes(day.variety, day.trading_day))


def find_loss(ctx: Context, day: Scheduled, ticks: pa.Table, traded: int | None) -> str | None:
    """Why the stored ticks of a day stay; None where the new ones land."""
    stored = ctx.stored_day(day.key)
    if stored is None or ctx.load.request.accepts_loss_of("ticks"):
        return None
    until = due_until(ctx, day, traded)
    new, old = rank(ticks, traded, until), rank_stored(stored, traded)
    came = f"{ticks.num_rows:,} ticks of {traded_lots(ticks):,} lots came"
    if lacks_ticks(ticks.num_rows, stored.rows):
        return came
    if not ctx.by_name:  # of a short day
        return None if new > old else came
    # what the vendor took out of a day that still adds up is a correction
    if ctx.refetches and new[0]:
        return None
    return None if new >= old and ticks.num_rows >= stored.rows else came


def rank_stored(stored: StoredDay, traded: int | None) -> tuple[bool, int, int]:
    """The rank of stored ticks among answers (loaders.tq.tick_days.completeness)."""
    is_whole = stored.status == "complete" and not lacks_lots(stored.volume, traded)
    return is_whole, stored.volume or 0, stored.rows


def keep_stored_ticks(ctx: Context, day: Scheduled, why: str) -> Outcome:
    """The outcome of a day whose stored ticks stay.

    A failure where the load was asked for this day; else one more night of a short one.
    """
    stored = ctx.ledger[day.key]
    held = f"the {stored.rows:,} ticks of {stored.volume or 0:,} lots that are stored stay"
    if ctx.by_name or stored.status != "short":
        way_out = (
            f"`loaders run tq --mode ticks --dataset ticks --codes {day.variety} "
            f"--date {day.trading_day} --accept-loss` takes what comes"
        )
        return Outcome(key_text(day.key), failure=f"{why}: {held}; {way_out}")
    if note_short(ctx, day, why) == "short":
        ctx.load.warn(f"{day.contract} {day.trading_day} stays short: {why}, and {held}")
    return Outcome(key_text(day.key), skipped=f"short: {why}, and {held}")


def note_short(ctx: Context, day: Scheduled, why: str) -> EmptyStatus:
    """Count a night of a day with too few ticks: on record after long enough."""
    row = count_night(ctx, day, why)
    status: EmptyStatus = "short" if is_over(ctx, row) else "doubtful"
    ctx.no_data.put(replace(row, status=status))
    return status
