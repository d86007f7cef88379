"""Days of the schedule of which no ticks come: when they are believed to have none.

at once        two sessions found nothing, the same sessions found ticks of another day, the history gave
               some where the day has a day bar, and nothing else can explain it
in the end     whatever fails with the day alone, once that has gone on for tq.recheck_after days: until
               then it is a failure of each load
"""

from datetime import timedelta

from loaders.engine.outcome import Outcome
from loaders.ticks.store import NoDataRow
from loaders.tq import stored
from loaders.tq.backlog import Scheduled, key_text
from loaders.tq.context import Context
from loaders.tq.service.answers import TickAnswer

LATE = 3  # newest settled days of a variety whose ticks may not be in the history yet


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
    }
    bar = f", though a day bar of {traded:,} lots" if traded else ""
    if doubt := next((text for text, holds in doubts.items() if holds), None):
        return given_up(run, day, f"no tick of the day{bar}, and {doubt}", sessions=2)
    reason = f"the source has no tick{bar}" if bar else "no tick"
    _put(run, day, reason, sessions=2, believed=True)
    return Outcome(key_text(day.key), skipped=f"{reason}; two sessions were asked")


def given_up(run: Context, day: Scheduled, why: str, *, sessions: int = 1) -> Outcome:
    """The outcome of a day that alone fails: a failure, until it has been one for long enough."""
    known = run.empty.get(day.key)
    now, patience = run.load.clock(), timedelta(days=run.settings.recheck_after)
    since = known.first_checked_at or known.checked_at if known else now
    believed = now - since >= patience or (known is not None and known.status == "no_data")
    _put(run, day, why, sessions, believed)
    if believed:
        return Outcome(key_text(day.key), skipped=f"{why}; so since {since:%Y-%m-%d}")
    until = f"{since + patience:%Y-%m-%d}"
    return Outcome(key_text(day.key), failure=f"{why}: asked again by each load until {until}")


def _put(run: Context, day: Scheduled, reason: str, sessions: int, believed: bool) -> None:
    assert run.store is not None
    known, now = run.empty.get(day.key), run.load.clock()
    row = NoDataRow(
        *day.key,
        reason,
        attempts=(known.attempts if known else 0) + sessions,
        checked_at=now,
        first_checked_at=known.first_checked_at or known.checked_at if known else now,
        status="no_data" if believed else "doubtful",
    )
    run.store.put_no_data([row])
    run.empty[day.key] = row


def _just_settled(run: Context, day: Scheduled) -> bool:
    """The history of ticks may come some days after the day bar."""
    newest = run.settled_days.get(day.variety)
    settled = [known for known in run.days if newest is not None and known <= newest]
    return day.trading_day in settled[-LATE:] or day.trading_day not in settled
