"""Days of the schedule of which no ticks come: when they are believed to have none.

at once        two sessions found nothing, the same sessions found ticks of another day, the history gave
               some where the day has a day bar, and nothing else can explain it
in the end     whatever fails with the day alone, once loads have failed with it on NIGHTS trading days, the
               first of them tq.recheck_after days ago: until then it is a failure of each load

Nights are counted by the trading day that a load belongs to: several loads of one evening, or of a weekend,
are one. So who loads each night waits tq.recheck_after days, who loads each month NIGHTS months. Ticks of
the day, also too few of them, end the count, and take back what was on record.

Servers that are silent before they gave ticks of any day count for nothing. A day that they were asked for then
is doubtful of no night, and comes after all others: were it the day that silences them, others would show it.

Nothing is put on record of a day whose ticks are stored: they stay (loaders.tq.tick_days.unimproved_days).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from loaders.engine.outcome import Outcome
from loaders.ticks.frame import DayKey
from loaders.ticks.store import NoDataRow
from loaders.tq import stored
from loaders.tq.client.answers import TickAnswer
from loaders.tq.context import Context
from loaders.tq.tick_days.backlog import Scheduled, key_text
from loaders.tq.tick_days.unimproved_days import stays
from loaders.tq.trading_day import night_of

LATE = 3  # newest settled days of a variety whose ticks may not be in the history yet
NIGHTS = 5  # trading days on which a day must have failed


def without_ticks(run: Context, day: Scheduled, answer: TickAnswer, traded: int | None) -> Outcome:
    """The outcome of a day without ticks by two sessions; `traded`: lots of its day bar."""
    expires = run.ask(lambda conn: stored.expiry(conn, day.contract))
    doubts = {
        "the calendar does not know the day": day.trading_day not in run.days,
        "the contract is not known": expires is None,
        "the contract had expired": expires is not None and expires < day.trading_day,
        "the same sessions had no tick of any other day": not answer.more_days_had_rows,
        # the newest ticks, which the sessions may have seen, come by another way
        "the history had no tick of any day in this load": traded and not run.history_gave,
        "it has a day bar and has only just settled": traded and _just_settled(run, day),
        "it had some before": run.ledgers.is_complete(day.key),
    }
    bar = f", though a day bar of {traded:,} lots" if traded else ""
    if doubt := next((text for text, holds in doubts.items() if holds), None):
        return given_up(run, day, f"no tick of the day{bar}, and {doubt}", sessions=2)
    reason = f"the source has no tick{bar}" if bar else "no tick"
    run.ledgers.put_empty(_row(run, day, reason, sessions=2))
    return Outcome(key_text(day.key), skipped=f"{reason}; two sessions were asked")


def given_up(run: Context, day: Scheduled, why: str, *, sessions: int = 1) -> Outcome:
    """The outcome of a day that alone fails: a failure, until it has been one for long enough."""
    held = run.ledgers.index[day.key] if run.ledgers.is_complete(day.key) else None
    if held is not None and day.key not in run.outdated:  # asked for by name, as a repair does
        return Outcome(key_text(day.key), failure=f"{why}: what is stored stays")
    row = _row(run, day, why, sessions)
    if not _is_over(run, row):
        run.ledgers.put_empty(replace(row, status="doubtful"))
        nights, until = row.nights or 1, _until(run, row)
        few = f", and on {NIGHTS} trading days ({nights} so far)" if nights < NIGHTS else ""
        patience = f"asked again by each load until {until:%Y-%m-%d}{few}"
        return Outcome(key_text(day.key), failure=f"{why}: {patience}")
    so = f"{why}; so since {row.first_checked_at:%Y-%m-%d}"
    if held is not None:
        return stays(run, day, held, so, "ticks")
    run.ledgers.put_empty(row)
    return Outcome(key_text(day.key), skipped=so)


def not_counted(run: Context, day: Scheduled, why: str) -> Outcome:
    """The outcome of a day that silent servers were asked for, where they gave nothing before: a failure."""
    stays = run.ledgers.is_complete(day.key) and day.key not in run.outdated
    if run.ledgers.without(day.key) is None and not stays:
        row = _row(run, day, why, sessions=1)
        run.ledgers.put_empty(replace(row, status="doubtful", nights=0))
    return Outcome(key_text(day.key), failure=why)


def is_given_up(run: Context, day: Scheduled) -> bool:
    """Would one more failure of the day end on record?"""
    return _is_over(run, _row(run, day, "", sessions=1))


def _is_over(run: Context, row: NoDataRow) -> bool:
    """Has a day failed for long enough, `row` told of the newest time?"""
    known = run.ledgers.without(DayKey(row.symbol, row.contract, row.trading_day))
    if known is not None and known.status == "no_data":
        return True
    return row.checked_at >= _until(run, row) and (row.nights or 1) >= NIGHTS


def _until(run: Context, row: NoDataRow) -> datetime:
    return (row.first_checked_at or row.checked_at) + timedelta(days=run.settings.recheck_after)


def _row(run: Context, day: Scheduled, reason: str, sessions: int) -> NoDataRow:
    known, now = run.ledgers.without(day.key), run.load.clock()
    counted = known if known is not None and known.nights != 0 else None
    return NoDataRow(
        *day.key,
        reason,
        attempts=(known.attempts if known else 0) + sessions,
        checked_at=now,
        first_checked_at=counted.first_checked_at or counted.checked_at if counted else now,
        nights=_nights(run, counted, now),
    )


def _nights(run: Context, known: NoDataRow | None, now: datetime) -> int:
    """On how many trading days loads have found nothing, this one included."""
    if known is None:
        return 1
    same = night_of(known.checked_at, run.days) == night_of(now, run.days)
    return (known.nights or 1) + (not same)


def _just_settled(run: Context, day: Scheduled) -> bool:
    """The history of ticks may come some days after the day bar."""
    newest = run.settled_days.get(day.variety)
    settled = [known for known in run.days if newest is not None and known <= newest]
    return day.trading_day in settled[-LATE:] or day.trading_day not in settled
