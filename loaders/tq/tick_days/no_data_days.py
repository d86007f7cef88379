"""Days of the schedule without ticks, or with too few: when they go on record as such.

at once      the history has no tick of the day and the day bar no lot: two witnesses; the session
             had ticks of another day, and nothing else can explain it
some nights  the same of a day without a bar, or whose bar has lots, once loads of NIGHTS trading
             days found nothing: the sessions of one evening see one outage, so none is asked twice
             in a load; no failure until then where the contract has no bar of the day, and few
             lots on the days next to it
in the end   anything that fails with this day alone, and ticks that stay too few, once loads had
             this on NIGHTS trading days, the first of them tq.recheck_after days ago; until then
             each load asks for the day

Nights are counted by the trading day that a load belongs to: several loads of an evening or a
weekend count as one. A user who loads each night waits tq.recheck_after days, one who loads each
month NIGHTS months. Ticks of the day, even too few, end the count and take back the record.

Servers that are silent before they gave ticks of any day count for nothing. A day that they were
asked for then is doubtful with no night, and comes after all others: if the day silences them,
others show it.

A day whose stored ticks are too few counts in the same way; they stay until an answer has more.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from loaders.engine.outcome import Outcome
from loaders.ticks.store import EmptyStatus, NoDataRow
from loaders.tq import landed
from loaders.tq.client.answers import TickAnswer
from loaders.tq.context import Context
from loaders.tq.tick_days.records import ON_RECORD
from loaders.tq.tick_days.schedule import Scheduled, key_text
from loaders.tq.trading_day import night_of

NIGHTS = 5  # trading days on which a day must have failed


def record_empty_day(
    ctx: Context, day: Scheduled, answer: TickAnswer, traded: int | None
) -> Outcome:
    """The outcome of a day that the history has no tick of; `traded`: lots of its bar."""
    expires = ctx.ask(lambda conn: landed.expiry(conn, day.contract))
    doubts = {
        "the calendar does not have the day": day.trading_day not in ctx.days,
        "the contract is not known": expires is None,
        "the contract had expired": expires is not None and expires < day.trading_day,
        "the same session had no tick of any other day": not answer.more_days_have_rows,
        # the newest ticks, which the session may have seen, come by another way
        "the history had no tick of any day in this load": traded and not ctx.history_gave,
    }
    bar = f", though a day bar of {traded:,} lots" if traded else ""
    doubt = next((text for text, holds in doubts.items() if holds), None)
    quiet = ctx.ask(lambda conn: landed.is_quiet_around(conn, day.contract, day.trading_day))
    if traded is None and quiet is True:
        return _note_untraded(ctx, day, is_certain=doubt is None)
    if doubt:
        return record_failure(ctx, day, f"no tick of the day{bar}, and {doubt}")
    reason = f"the source has no tick{bar}" if bar else "no tick"
    row = count_night(ctx, day, reason)
    known = ctx.no_data.get(day.key)
    is_known = known is not None and known.status in ON_RECORD
    if traded == 0 or is_known or row.nights >= NIGHTS:
        ctx.no_data.put(row)
        return Outcome(key_text(day.key), skipped=reason)
    ctx.no_data.put(replace(row, status="doubtful"))
    failure = f"{reason}: asked again by each load until it was so on {_describe_nights(row)}"
    return Outcome(key_text(day.key), failure=failure)


def _note_untraded(ctx: Context, day: Scheduled, *, is_certain: bool) -> Outcome:
    """The outcome of a day without ticks or bar, of a hardly traded contract: no failure.

    Illiquid contracts have such days. It is asked for again as any other one all the same.
    """
    reason = "no tick and no day bar, and the contract is hardly traded on the days next to it"
    row = count_night(ctx, day, reason)
    over = is_over(ctx, row) or (is_certain and row.nights >= NIGHTS)
    ctx.no_data.put(row if over else replace(row, status="doubtful"))
    few = "" if over else f"; asked again until it was so on {_describe_nights(row)}"
    return Outcome(key_text(day.key), skipped=f"{reason}{few}")


def record_failure(ctx: Context, day: Scheduled, why: str) -> Outcome:
    """The outcome of a day that fails alone: on record once it did for long enough."""
    row = count_night(ctx, day, why)
    if not is_over(ctx, row):
        ctx.no_data.put(replace(row, status="doubtful"))
        until = _asked_until(ctx, row)
        few = f", and on {_describe_nights(row)}" if row.nights < NIGHTS else ""
        patience = f"asked again by each load until {until:%Y-%m-%d}{few}"
        return Outcome(key_text(day.key), failure=f"{why}: {patience}")
    ctx.no_data.put(row)
    return Outcome(key_text(day.key), skipped=f"{why}; so since {row.first_checked_at:%Y-%m-%d}")


def _describe_nights(row: NoDataRow) -> str:
    return f"{NIGHTS} trading days ({row.nights} so far)"


def note_silence(ctx: Context, day: Scheduled, why: str) -> Outcome:
    """The failure of a day asked of servers that were silent from the start."""
    stored = ctx.stored_day(day.key)
    is_short = stored is not None and stored.status == "short"
    if ctx.no_data.get(day.key) is None and (stored is None or is_short):
        row = count_night(ctx, day, why)
        ctx.no_data.put(replace(row, status="doubtful", nights=0))
    return Outcome(key_text(day.key), failure=why)


def is_over(ctx: Context, row: NoDataRow) -> bool:
    """Whether a day failed for long enough; `row` holds its newest failure."""
    known = ctx.no_data.get(row.key)
    if known is not None and known.status in ON_RECORD:
        return True
    return row.checked_at >= _asked_until(ctx, row) and row.nights >= NIGHTS


def _asked_until(ctx: Context, row: NoDataRow) -> datetime:
    return row.first_checked_at + timedelta(days=ctx.settings.recheck_after)


def count_night(ctx: Context, day: Scheduled, reason: str) -> NoDataRow:
    """The record of a day after this load's failure with it, not written yet.

    A count by a later clock, as of a load without `--as-of` in a sandbox's home, is begun again.
    """
    known, now = ctx.no_data.get(day.key), ctx.load.clock()
    is_past = known is not None and known.nights and known.checked_at <= now
    counted = known if is_past else None
    return NoDataRow(
        *day.key,
        reason=reason,
        attempts=(known.attempts if known else 0) + 1,
        checked_at=now,
        first_checked_at=counted.first_checked_at if counted else now,
        nights=_nights(ctx, counted, now),
    )


def _nights(ctx: Context, known: NoDataRow | None, now: datetime) -> int:
    """Trading days on which loads found nothing, this load included."""
    if known is None:
        return 1
    is_same = night_of(known.checked_at, ctx.days) == night_of(now, ctx.days)
    return known.nights + (not is_same)


def keep_stored_ticks(ctx: Context, day: Scheduled, why: str) -> Outcome:
    """The outcome of a day whose stored ticks stay.

    A failure where the load was asked for this day; else one more night of a short one.
    """
    stored = ctx.index.rows[day.key]
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
