"""The newest ticks of contracts, for accounts without the history (tq_dl).

Newest ticks only move on, so a day that they no longer hold needs the permission. It stays due, no
night reports it as a failure, and nothing is put on record: with the permission the next load
fetches it. Where the servers gave no answer, the contract's newest day is a failure: they may hold
it tonight for the last time.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow.compute as pc

from loaders.errors import UpstreamError
from loaders.tq.context import Context, describe
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, UnknownSymbol
from loaders.tq.tick_days.schedule import Scheduled
from loaders.tq.trading_day import bounds, nanoseconds, to_time, trading_day_of
from loaders.warehouse.migrate import put_setting

NEWEST = 8_000  # ticks that the servers give to every account
REACH = 20  # newest days of a variety: contracts without a missing day among them are not asked for
HISTORY = "tq_dl"  # the permission's name
LACKING = (
    f"the account may not download the history of ticks ({HISTORY}; the professional edition of "
    "TqSdk has it)"
)
NO_PERMISSION = f"not among the newest ticks, and {LACKING}"
# key of ops.settings, for dbt and loaders.tq.next_steps: whether the account may, when asked last
PERMISSION_SETTING = "tq_history"
NO_ANSWER = (TqAnswerError, TqClientError, TqTimeout)


def check_history(ctx: Context) -> bool:
    """Whether the account may download the history, asked once a load.

    Servers that are away count as yes: the first day reports them.
    """
    try:
        ctx.history = ctx.harvest.may(HISTORY)
    except UpstreamError:
        return True
    ctx.ask(lambda conn: put_setting(conn, PERMISSION_SETTING, str(ctx.history).lower()))
    return ctx.history


def select_obtainable(ctx: Context, days: Sequence[Scheduled]) -> list[Scheduled]:
    """The missing days to be had without the permission.

    Reports how many others there are.

    Those that the newest ticks hold, and the newest day of a contract whose newest ticks did not
    come.
    """
    reach = _first_days(ctx)
    in_order = sorted(days, key=lambda day: day.trading_day)
    near = {day.contract: day for day in in_order if day.trading_day >= reach[day.variety]}
    obtainable = []
    for day in days:
        try:
            if day.contract in near and day.trading_day in fetch_newest(ctx, day.contract):
                obtainable.append(day)
        except NO_ANSWER:
            if day == near[day.contract]:
                obtainable.append(day)
    taken = set(obtainable)
    left = [day.trading_day for day in days if day not in taken]
    beyond = f": {len(left):,} of them until {max(left)} cannot be had" if left else ""
    ctx.load.warn(
        f"{LACKING}. Of {len(days):,} days that are due only the newest {NEWEST:,} ticks of a "
        f"contract are taken{beyond}"
    )
    return obtainable


def fetch_newest(ctx: Context, contract: str) -> dict[date, Any]:
    """The newest ticks by trading day, asked for once a load.

    Without the oldest day, which may have begun earlier. Raises the error that came instead
    (NO_ANSWER).
    """
    if contract not in ctx.recent:
        try:
            ctx.recent[contract] = _by_day(ctx, ctx.harvest.recent_ticks(contract, NEWEST))
        except UnknownSymbol as error:  # it has expired, and has none any more
            ctx.load.warn(f"newest ticks of {contract}: {describe(error)}")
            ctx.recent[contract] = {}
        except NO_ANSWER as error:
            ctx.recent[contract] = error
    answer = ctx.recent[contract]
    if isinstance(answer, UpstreamError):
        raise answer
    return answer


def _by_day(ctx: Context, ticks: Any) -> dict[date, Any]:
    if not ticks.num_rows:
        return {}
    stamps = ticks["datetime_ns"]
    oldest = trading_day_of(to_time(int(pc.min(stamps).as_py())), ctx.days)
    by_day = {}
    for day in ctx.days:
        if oldest is None or day <= oldest or day > ctx.today:
            continue
        start, end = (nanoseconds(at) for at in bounds(day, ctx.days))
        rows = ticks.filter(pc.and_(pc.greater_equal(stamps, start), pc.less(stamps, end)))
        if rows.num_rows:
            by_day[day] = rows
    return by_day


def _first_days(ctx: Context) -> dict[str, date]:
    """The first of the newest settled days of each variety."""
    days: dict[str, list[date]] = defaultdict(list)
    for day in ctx.schedule.values():
        settled = ctx.settled_days.get(day.variety)
        if settled is not None and day.trading_day <= settled:
            days[day.variety].append(day.trading_day)
    return {variety: sorted(settled)[-REACH:][0] for variety, settled in days.items()}
