"""Days of the schedule without ticks, or with too few: when they go on record as such.

Each load asks for such a day until it is RECHECK_AFTER old. Then it goes on record, and is asked
for again as many days later. Ticks of the day, even too few, take back the record. A day whose bar
has no lot goes on record at once: bar and history are two witnesses.

One load is not enough if it got no tick of any other day, as the whole history may be empty for a
while, or if a failure came in place of an answer: such a day goes on record after LOADS loads.

Servers that are silent before they gave ticks of any day count for nothing. A day that they were
asked for then comes after all others: if the day silences them, others show it.
"""

from dataclasses import replace
from datetime import date

from loaders.engine.outcome import Outcome
from loaders.ticks.store import EmptyStatus, NoDataRow
from loaders.tq.context import Context
from loaders.tq.tick_days.records import ON_RECORD
from loaders.tq.tick_days.rules import RECHECK_AFTER
from loaders.tq.tick_days.schedule import Scheduled, key_text

LOADS = 5  # that got nothing of a day, none of which shows anything by itself


def record_empty_day(ctx: Context, day: Scheduled, traded: int | None) -> Outcome:
    """The outcome of a day that the history has no tick of; `traded`: lots of its bar.

    No failure if it has no bar either: such are days of hardly traded contracts.
    """
    if traded == 0:
        ctx.no_data.put(replace(_next_row(ctx, day, "no ticks"), status="no_data"))
        return Outcome(key_text(day.key), skipped="no ticks")
    bar = "and no day bar" if traded is None else f"although the day bar has {traded:,} lots"
    outcome = record_failure(ctx, day, f"no ticks, {bar}", is_sure=ctx.history_gave)
    if traded is None:
        return replace(outcome, failure=None, skipped=outcome.failure or outcome.skipped)
    return outcome


def record_failure(ctx: Context, day: Scheduled, why: str, *, is_sure: bool = False) -> Outcome:
    """The outcome of a day that fails alone: no failure once it is on record.

    `is_sure`: the history answered, and works.
    """
    row = _note(ctx, day, why, "no_data", is_sure=is_sure)
    if row.status == "no_data":
        again = f"rechecked after {RECHECK_AFTER.days} days"
        return Outcome(key_text(day.key), skipped=f"{why}: {again}")
    until = _asked_until(row)
    patience = f"until {until:%Y-%m-%d}" if ctx.today < until else f"up to {LOADS} times"
    again = f"retried by each load {patience} ({row.attempts} so far)"
    return Outcome(key_text(day.key), failure=f"{why}: {again}")


def note_silence(ctx: Context, day: Scheduled, why: str) -> Outcome:
    """The failure of a day asked of servers that were silent from the start."""
    stored = ctx.stored_day(day.key)
    is_short = stored is not None and stored.status == "short"
    if ctx.no_data.get(day.key) is None and (stored is None or is_short):
        ctx.no_data.put(replace(_next_row(ctx, day, why), attempts=0))
    return Outcome(key_text(day.key), failure=why)


def keep_stored_ticks(ctx: Context, day: Scheduled, why: str, *, is_sure: bool = False) -> Outcome:
    """The outcome of a day whose stored ticks stay.

    A failure where the load was asked for this day, or it is not a short one. `is_sure`: as in
    `record_failure`.
    """
    stored = ctx.index.rows[day.key]
    held = f"the stored {stored.rows:,} ticks ({stored.volume or 0:,} lots) are kept"
    if ctx.by_name or stored.status != "short":
        way_out = (
            f"run `loaders run tq --mode ticks --dataset ticks --codes {day.variety} "
            f"--date {day.trading_day} --accept-loss` to accept the new ones"
        )
        return Outcome(key_text(day.key), failure=f"{why}: {held}. To replace them, {way_out}")
    if _note(ctx, day, why, "short", is_sure=is_sure).status == "short":
        ctx.load.warn(f"{day.contract} {day.trading_day} is still short: {why}, and {held}")
    return Outcome(key_text(day.key), skipped=f"short: {why}, and {held}")


def note_short(ctx: Context, day: Scheduled, why: str) -> None:
    """Note a day that is stored with too few ticks."""
    _note(ctx, day, why, "short", is_sure=True)


def _note(
    ctx: Context, day: Scheduled, why: str, status: EmptyStatus, *, is_sure: bool
) -> NoDataRow:
    """Write the row of a day that gave nothing, or too little: `status` once it is on record."""
    known, row = ctx.no_data.get(day.key), _next_row(ctx, day, why)
    is_known = known is not None and known.status in ON_RECORD
    is_old = ctx.today >= _asked_until(row)
    if is_known or (is_old and (is_sure or row.attempts >= LOADS)):
        row = replace(row, status=status)
    ctx.no_data.put(row)
    return row


def _next_row(ctx: Context, day: Scheduled, why: str) -> NoDataRow:
    known = ctx.no_data.get(day.key)
    attempts = (known.attempts if known else 0) + 1
    return NoDataRow(*day.key, why, attempts, ctx.load.clock(), status="missing")


def _asked_until(row: NoDataRow) -> date:
    return row.trading_day + RECHECK_AFTER
