"""Days of the schedule without ticks: when they go on record as such.

at once     two sessions found nothing, the same sessions found ticks of another day, the history
            gave some where the day has a day bar, and nothing else can explain it
in the end  anything that fails with this day alone, once loads failed with it on NIGHTS trading
            days, the first of them tq.recheck_after days ago; until then it fails in each load

Nights are counted by the trading day that a load belongs to: several loads of an evening or a
weekend count as one. A user who loads each night waits tq.recheck_after days, one who loads each
month NIGHTS months. Ticks of the day, even too few, end the count and take back the record.

Servers that are silent before they gave ticks of any day count for nothing. A day that they were
asked for then is doubtful with no night, and comes after all others: if the day silences them,
others show it.

Nothing is recorded of a day whose ticks are stored: they stay
(loaders.tq.tick_days.corrected_days).
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from loaders.engine.outcome import Outcome
from loaders.ticks.frame import DayKey
from loaders.ticks.store import NoDataRow, TickStore
from loaders.tq import landed
from loaders.tq.client.answers import TickAnswer
from loaders.tq.context import Context
from loaders.tq.tick_days.corrected_days import keep_stored_ticks
from loaders.tq.tick_days.schedule import Scheduled, key_text
from loaders.tq.trading_day import night_of

LATE = 3  # newest settled days of a variety whose ticks may not be in the history yet
NIGHTS = 5  # trading days on which a day must have failed


class NoDataDays:
    """The store's record of days without ticks, read once and written through.

    `rows`: doubtful days, and those that are superseded because ticks came, included. No other load
    writes to the store: the lane has a lock, and a store one warehouse.
    """

    def __init__(self, store: TickStore, symbols: Collection[str]) -> None:
        self._store = store
        self.rows = {row.key: row for row in store.no_data(symbols)}

    @property
    def checked_at(self) -> dict[DayKey, datetime]:
        """When each day on record (no doubtful one) was checked last."""
        return {key: r.checked_at for key, r in self.rows.items() if r.status == "no_data"}

    @property
    def failed(self) -> set[DayKey]:
        """Days that gave nothing so far."""
        return {key for key, row in self.rows.items() if row.status != "superseded"}

    def get(self, key: DayKey) -> NoDataRow | None:
        """The record of a day; None once it had ticks."""
        row = self.rows.get(key)
        return row if row is not None and row.status != "superseded" else None

    def put(self, row: NoDataRow) -> None:
        self._store.put_no_data([row])
        self.rows[row.key] = row

    def take_back(self, keys: Iterable[DayKey]) -> None:
        """Supersede the records of days that have ticks after all."""
        rows = filter(None, map(self.get, keys))
        if superseded := [replace(row, status="superseded") for row in rows]:
            self._store.put_no_data(superseded)
            self.rows |= {row.key: row for row in superseded}


def record_empty_day(
    ctx: Context, day: Scheduled, answer: TickAnswer, traded: int | None
) -> Outcome:
    """The outcome of a day that two sessions found empty; `traded`: lots of its bar."""
    expires = ctx.ask(lambda conn: landed.expiry(conn, day.contract))
    doubts = {
        "the calendar does not have the day": day.trading_day not in ctx.days,
        "the contract is not known": expires is None,
        "the contract had expired": expires is not None and expires < day.trading_day,
        "the same sessions had no tick of any other day": not answer.more_days_had_rows,
        # the newest ticks, which the sessions may have seen, come by another way
        "the history had no tick of any day in this load": traded and not ctx.history_gave,
        "it has a day bar and has only just settled": traded and _has_just_settled(ctx, day),
        "it had some before": ctx.is_complete(day.key),
    }
    bar = f", though a day bar of {traded:,} lots" if traded else ""
    if doubt := next((text for text, holds in doubts.items() if holds), None):
        return record_failure(ctx, day, f"no tick of the day{bar}, and {doubt}", sessions=2)
    reason = f"the source has no tick{bar}" if bar else "no tick"
    ctx.no_data.put(_row(ctx, day, reason, sessions=2))
    return Outcome(key_text(day.key), skipped=f"{reason}; two sessions were asked")


def record_failure(ctx: Context, day: Scheduled, why: str, *, sessions: int = 1) -> Outcome:
    """The outcome of a day that fails alone: on record once it did for long enough."""
    is_stored = ctx.is_complete(day.key)
    if is_stored and day.key not in ctx.corrected:  # asked for by name, as a repair does
        return Outcome(key_text(day.key), failure=f"{why}: the stored ticks stay")
    row = _row(ctx, day, why, sessions)
    if not _is_over(ctx, row):
        ctx.no_data.put(replace(row, status="doubtful"))
        until = _asked_until(ctx, row)
        few = f", and on {NIGHTS} trading days ({row.nights} so far)" if row.nights < NIGHTS else ""
        patience = f"asked again by each load until {until:%Y-%m-%d}{few}"
        return Outcome(key_text(day.key), failure=f"{why}: {patience}")
    since = f"{why}; so since {row.first_checked_at:%Y-%m-%d}"
    if is_stored:
        return keep_stored_ticks(ctx, day, since)
    ctx.no_data.put(row)
    return Outcome(key_text(day.key), skipped=since)


def note_silence(ctx: Context, day: Scheduled, why: str) -> Outcome:
    """The failure of a day asked of servers that were silent from the start."""
    is_stored = ctx.is_complete(day.key) and day.key not in ctx.corrected
    if ctx.no_data.get(day.key) is None and not is_stored:
        row = _row(ctx, day, why, sessions=1)
        ctx.no_data.put(replace(row, status="doubtful", nights=0))
    return Outcome(key_text(day.key), failure=why)


def is_last_chance(ctx: Context, day: Scheduled) -> bool:
    """Whether one more failure puts the day on record."""
    return _is_over(ctx, _row(ctx, day, "", sessions=1))


def _is_over(ctx: Context, row: NoDataRow) -> bool:
    """Whether a day failed for long enough; `row` holds its newest failure."""
    known = ctx.no_data.get(row.key)
    if known is not None and known.status == "no_data":
        return True
    return row.checked_at >= _asked_until(ctx, row) and row.nights >= NIGHTS


def _asked_until(ctx: Context, row: NoDataRow) -> datetime:
    return row.first_checked_at + timedelta(days=ctx.settings.recheck_after)


def _row(ctx: Context, day: Scheduled, reason: str, sessions: int) -> NoDataRow:
    known, now = ctx.no_data.get(day.key), ctx.load.clock()
    counted = known if known is not None and known.nights else None
    return NoDataRow(
        *day.key,
        reason=reason,
        attempts=(known.attempts if known else 0) + sessions,
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


def _has_just_settled(ctx: Context, day: Scheduled) -> bool:
    """Whether the ticks may come later: the history may lag behind the day bar."""
    newest = ctx.settled_days.get(day.variety)
    settled = [known for known in ctx.days if newest is not None and known <= newest]
    return day.trading_day in settled[-LATE:] or day.trading_day not in settled
