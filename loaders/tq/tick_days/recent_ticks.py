"""Accounts without the permission for the history of ticks (tq_dl): what the newest ticks of a contract hold.

Newest ticks only go on, so a day that these hold no more is never to be had without the permission. It
stays due, no failure tells of it night after night, and nothing is put on record: with the permission the
next load fetches it. Where nobody knows what they hold, as the servers gave no answer, the contract's newest
day is a failure: it may be among them tonight for the last time.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow.compute as pc

from loaders.errors import UpstreamError
from loaders.tq import stored
from loaders.tq.context import Context, said
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, UnknownSymbol
from loaders.tq.tick_days.backlog import Scheduled
from loaders.tq.trading_day import bounds, trading_day_of
from loaders.warehouse.migrate import put_setting

NEWEST = 8_000  # ticks that the servers give to every account
REACH = 20  # newest days of a variety: a contract with none among the missing is asked for nothing
HISTORY = "tq_dl"  # the permission's name
LACKING = (
    f"the account may not download the history of ticks ({HISTORY}; the professional edition of TqSdk "
    "has it)"
)
NO_PERMISSION = f"not among the newest ticks, and {LACKING}"
TOLD = (
    "tq_history"  # of ops.settings, for dbt and loaders.tq.due: may the account, when asked last?
)
NO_ANSWER = (TqAnswerError, TqClientError, TqTimeout)


def has_history(run: Context) -> bool:
    """May the account download it? Asked once a load; servers that are away say so at the first day."""
    try:
        run.history = run.harvest.may(HISTORY)
    except UpstreamError:
        return True
    run.ask(lambda conn: put_setting(conn, TOLD, str(run.history).lower()))
    return run.history


def obtainable(run: Context, days: Sequence[Scheduled]) -> list[Scheduled]:
    """Those of some missing days that the newest ticks hold, and the newest one of a contract whose newest
    ticks did not come; says how many others there are."""
    reach = _reach(run)
    in_order = sorted(days, key=lambda day: day.trading_day)
    near = {day.contract: day for day in in_order if day.trading_day >= reach[day.variety]}
    found = []
    for day in days:
        try:
            if day.contract in near and day.trading_day in newest(run, day.contract):
                found.append(day)
        except NO_ANSWER:
            if day == near[day.contract]:
                found.append(day)
    taken = set(found)
    left = [day.trading_day for day in days if day not in taken]
    beyond = f": {len(left):,} of them until {max(left)} cannot be had" if left else ""
    run.load.warn(
        f"{LACKING}. Of {len(days):,} days that are due only the newest {NEWEST:,} ticks of a contract are "
        f"taken{beyond}"
    )
    return found


def newest(run: Context, contract: str) -> dict[date, Any]:
    """The newest ticks by trading day, asked for once a load; without the oldest day, which may have begun
    earlier. Raises what came instead (NO_ANSWER)."""
    if contract not in run.recent:
        try:
            run.recent[contract] = _by_day(run, run.harvest.recent_ticks(contract, NEWEST))
        except UnknownSymbol as error:  # it has expired, and has none any more
            run.load.warn(f"newest ticks of {contract}: {said(error)}")
            run.recent[contract] = {}
        except NO_ANSWER as error:
            run.recent[contract] = error
    found = run.recent[contract]
    if isinstance(found, UpstreamError):
        raise found
    return found


def _by_day(run: Context, ticks: Any) -> dict[date, Any]:
    if not ticks.num_rows:
        return {}
    stamps = ticks["datetime_ns"]
    oldest = trading_day_of(stored.instant(int(pc.min(stamps).as_py())), run.days)
    found = {}
    for day in run.days:
        if oldest is None or day <= oldest or day > run.today:
            continue
        start, end = (stored.nanoseconds(at) for at in bounds(day, run.days))
        of_day = ticks.filter(pc.and_(pc.greater_equal(stamps, start), pc.less(stamps, end)))
        if of_day.num_rows:
            found[day] = of_day
    return found


def _reach(run: Context) -> dict[str, date]:
    """The first of the newest settled days of each variety."""
    days: dict[str, list[date]] = defaultdict(list)
    for day in run.schedule.values():
        settled = run.settled_days.get(day.variety)
        if settled is not None and day.trading_day <= settled:
            days[day.variety].append(day.trading_day)
    return {variety: sorted(of)[-REACH:][0] for variety, of in days.items()}
