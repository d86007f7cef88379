"""Days of the schedule of which no ticks come: when they are believed to have none.

at once        two sessions found nothing, the same sessions found ticks of another day, the history gave
               some where the day has a day bar, and nothing else can explain it
in the end     whatever fails with the day alone, once loads have failed with it on NIGHTS trading days, the
               first of them tq.recheck_after days ago: until then it is a failure of each load

Nights are counted by the trading day that a load belongs to: several loads of one evening, or of a weekend,
are one. So who loads each night waits tq.recheck_after days, who loads each month NIGHTS months. Ticks of
the day, also too few of them, end the count, and take back what was on record.

Nothing is put on record of a day whose ticks are stored: they stay (loaders.tq.kept).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from loaders.engine.outcome import Outcome
from loaders.ticks.store import NoDataRow
from loaders.tq import stored
from loaders.tq.backlog import Scheduled, key_text
from loaders.tq.context import Context
from loaders.tq.kept import stays
from loaders.tq.service.answers import TickAnswer
from loaders.tq.trading_day import trading_day_of
from loaders.trading_time import SHANGHAI

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
    known, now = run.ledgers.without(day.key), run.load.clock()
    row = _row(run, day, why, sessions)
    since = row.first_checked_at or now
    nights, until = row.nights or 1, since + timedelta(days=run.settings.recheck_after)
    so = f"{why}; so since {since:%Y-%m-%d}"
    if (known is None or known.status != "no_data") and (now < until or nights < NIGHTS):
        run.ledgers.put_empty(replace(row, status="doubtful"))
        few = f", and on {NIGHTS} trading days ({nights} so far)" if nights < NIGHTS else ""
        patience = f"asked again by each load until {until:%Y-%m-%d}{few}"
        return Outcome(key_text(day.key), failure=f"{why}: {patience}")
    if held is not None:
        return stays(run, day, held, so, "ticks")
    run.ledgers.put_empty(row)
    return Outcome(key_text(day.key), skipped=so)


def _row(run: Context, day: Scheduled, reason: str, sessions: int) -> NoDataRow:
    known, now = run.ledgers.without(day.key), run.load.clock()
    return NoDataRow(
        *day.key,
        reason,
        attempts=(known.attempts if known else 0) + sessions,
        checked_at=now,
        first_checked_at=known.first_checked_at or known.checked_at if known else now,
        nights=_nights(run, known, now),
    )


def _nights(run: Context, known: NoDataRow | None, now: datetime) -> int:
    """On how many trading days loads have found nothing, this one included."""
    if known is None:
        return 1
    same = _night(run, known.checked_at) == _night(run, now)
    return (known.nights or 1) + (not same)


def _night(run: Context, at: datetime) -> object:
    return trading_day_of(at, run.days) or at.astimezone(SHANGHAI).date()


def _just_settled(run: Context, day: Scheduled) -> bool:
    """The history of ticks may come some days after the day bar."""
    newest = run.settled_days.get(day.variety)
    settled = [known for known in run.days if newest is not None and known <= newest]
    return day.trading_day in settled[-LATE:] or day.trading_day not in settled
