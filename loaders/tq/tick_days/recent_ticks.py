"""The newest ticks of contracts, for accounts without the history (tq_dl).

Newest ticks only move on, so a day that they no longer hold needs the permission. It stays due, no
night reports it as a failure, and nothing is put on record: with the permission the next load
fetches it. Where the servers gave no answer, the contract's newest day is a failure: they may hold
it tonight for the last time.

Ticks that a recorder took (loaders.tq.live) go before the newest ones. A recorded day lacks what
passed while nothing recorded: it lands as short.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loaders.tq import landed
from loaders.tq.context import Context, describe
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, UnknownSymbol
from loaders.tq.live.recorded import (
    Hole,
    RecentDay,
    describe_holes,
    find_holes,
    merge_ticks,
    read_recorded,
)
from loaders.tq.tick_days.schedule import Scheduled
from loaders.tq.trading_day import (
    bounds,
    nanoseconds,
    sessions_on,
    spans,
    to_time,
    trading_day_of,
)
from loaders.warehouse.migrate import put_setting
from quotemill.errors import UpstreamError

NEWEST = 8_000  # ticks that the servers give to every account
REACH = 20  # newest days of a variety: contracts without a missing day among them are not asked for
HISTORY = "tq_dl"  # the permission's name
LACKING = (
    f"the account may not download tick history ({HISTORY}, which the professional "
    "edition of TqSdk has)"
)
NO_PERMISSION = f"not among the latest ticks, and {LACKING}"
LAST_STAMP = 2**63 - 1
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
            if day.contract in near and _has_more(ctx, day):
                obtainable.append(day)
        except NO_ANSWER:
            if day == near[day.contract]:
                obtainable.append(day)
    taken = set(obtainable)
    left = [day.trading_day for day in days if day not in taken]
    beyond = f": {len(left):,} of them (latest {max(left)}) are not available" if left else ""
    ctx.load.warn(
        f"{LACKING}. Of {len(days):,} due days, only recorded ticks and the latest "
        f"{NEWEST:,} ticks per contract are loaded{beyond}"
    )
    return obtainable


def fetch_newest(ctx: Context, contract: str) -> dict[date, RecentDay]:
    """The recorded and newest ticks by trading day, asked for once a load.

    Without the oldest day of newest ticks alone, which may have begun earlier. Raises the error
    that came instead (NO_ANSWER).
    """
    if contract not in ctx.recent:
        try:
            newest = ctx.harvest.recent_ticks(contract, NEWEST)
        except UnknownSymbol as error:  # it has expired, and has none any more
            ctx.load.warn(f"latest ticks of {contract}: {describe(error)}")
            newest = None
        except NO_ANSWER as error:
            ctx.recent[contract] = error
            raise
        ctx.recent[contract] = _by_day(ctx, contract, newest)
    answer = ctx.recent[contract]
    if isinstance(answer, UpstreamError):
        raise answer
    return answer


def _has_more(ctx: Context, day: Scheduled) -> bool:
    """Whether the recorded and newest ticks have a day, and more of it than is stored.

    Those of another day leave the memory: the files of a short one stay for weeks.
    """
    days, stored = fetch_newest(ctx, day.contract), ctx.stored_day(day.key)
    recent = days.get(day.trading_day)
    if recent is None:
        return False
    if stored is None or not recent.hole or recent.ticks.num_rows > stored.rows:
        return True
    del days[day.trading_day]
    return False


def _by_day(ctx: Context, contract: str, newest: Any | None) -> dict[date, RecentDay]:
    recorded = read_recorded(ctx.recorded, contract)
    ticks, holes = newest, list[Hole]()
    if recorded is not None:
        if newest is not None and newest.num_rows:
            merged = merge_ticks(recorded, newest)
            ctx.reconciled.update(shared=merged.shared, differing=merged.differing)
            ticks = merged.ticks
        else:  # what came after the recorder's end is not known
            ticks = recorded
            holes.append(Hole(int(pc.max(ticks["datetime_ns"]).as_py()), LAST_STAMP))
        holes += find_holes(ticks)
    if ticks is None or not ticks.num_rows:
        return {}
    first = int(pc.min(ticks["datetime_ns"]).as_py())
    oldest = trading_day_of(to_time(first), ctx.days)
    if recorded is not None and int(ticks["id"][0].as_py()):  # not the first of all
        holes.insert(0, Hole(0, first))
    by_day = {}
    for day in ctx.days:
        if oldest is None or day < oldest or day > ctx.today:
            continue
        if day == oldest and (recorded is None or ctx.days[0] == day):
            continue
        start, end = (nanoseconds(at) for at in bounds(day, ctx.days))
        rows = _between(ticks, start, end)
        hole = _find_hole(ctx, contract, day, holes)
        # a recorder also takes the tick before its day
        is_recorded = recorded is not None and _between(recorded, start, end).num_rows > 1
        if rows.num_rows and (is_recorded or not hole):
            by_day[day] = RecentDay(rows, hole)
    return by_day


def _between(ticks: pa.Table, start: int, end: int) -> pa.Table:
    stamps = ticks["datetime_ns"]
    return ticks.filter(pc.and_(pc.greater_equal(stamps, start), pc.less(stamps, end)))


def _find_hole(ctx: Context, contract: str, day: date, holes: Sequence[Hole]) -> str | None:
    if not holes:
        return None
    variety = landed.variety_of(contract)
    versions = ctx.ask(lambda conn: landed.sessions(conn, variety))
    hours = spans(day, sessions_on(day, versions), ctx.days) or [bounds(day, ctx.days)]
    return describe_holes(holes, nanoseconds(hours[0][0]), nanoseconds(hours[-1][1]))


def _first_days(ctx: Context) -> dict[str, date]:
    """The first of the newest settled days of each variety."""
    days: dict[str, list[date]] = defaultdict(list)
    for day in ctx.schedule.values():
        settled = ctx.settled_days.get(day.variety)
        if settled is not None and day.trading_day <= settled:
            days[day.variety].append(day.trading_day)
    return {variety: sorted(settled)[-REACH:][0] for variety, settled in days.items()}
