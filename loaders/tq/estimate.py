"""How long a backfill of ticks takes, and the space that it needs.

From the days that are due and what this home has measured. Before it has measured anything: a
liquid contract's ticks, and the pace of the client alone, without the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import psycopg

from loaders.engine.progress import format_duration
from loaders.engine.request import LoadRequest
from loaders.engine.source import Previewed
from loaders.settings import Settings
from loaders.tq import landed
from loaders.tq.next_steps import read_due_days
from loaders.tq.request import check_request
from loaders.tq.settings import TqSettings
from loaders.tq.tick_days.plan import NOTHING_BUILT
from loaders.tq.tick_days.schedule import Scheduled, read_last_days
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import say_count

ASSUMED_TICKS = 30_000  # of a liquid main contract on a day
BYTES_PER_TICK = 257  # in QuestDB: the width of its columns, levels not given included
TICKS_PER_SECOND = 9_000  # of one process of the client, measured
PROCESS_START = 3.0  # seconds
ENOUGH_DAYS = 20  # measured ones that say more than the assumptions
# seconds of the median day: a load of one evening may have waited for the servers' maintenance
MEASURED = """
    with paces as (
        select
            t.done,
            (extract(epoch from t.finished_at - t.started_at) / t.done)::float8 as seconds,
            sum(t.done) over () as days
        from ops.ingestion_job_tasks as t
        inner join ops.ingestion_jobs as j on t.job_id = j.job_id
        where
            j.source = 'tq' and t.dataset = 'ticks' and t.finished_at is not null and t.done > 0
    ),

    ordered as (
        select *, sum(done) over (order by seconds rows unbounded preceding) as upto from paces
    )

    select days, seconds from ordered where 2 * upto >= days order by upto limit 1
"""
TICKS_STORED = (
    "select coalesce(sum(rows), 0)::bigint, count(*) from raw_tq.symbol_day "
    "where status = 'complete'"
)


@dataclass(frozen=True)
class Measured:
    """Measures of earlier loads of this home.

    ticks_per_day    of stored days; None with too few of them
    seconds_per_day  of loads of ticks; likewise
    """

    ticks_per_day: float | None = None
    seconds_per_day: float | None = None


@dataclass(frozen=True)
class Estimate:
    """Time and space for days of ticks: `gigabytes` in QuestDB."""

    days: int
    ticks: int
    hours: float
    gigabytes: float
    is_measured: bool

    def describe(self, settings: Settings) -> str:
        """In words; what ticks take in a warehouse is not known."""
        if not self.days:
            return "no day of ticks is due"
        how = "by earlier loads" if self.is_measured else "assumed, and the network comes on top"
        size = f"{self.gigabytes:,.1f} GB"
        if self.gigabytes < 1:
            size = f"{self.ticks * BYTES_PER_TICK / 1e6:,.0f} MB"
        place = f", {size} in QuestDB" if settings.questdb_url else ""
        due = say_count(self.days, "day of ticks is due", "days of ticks are due")
        return f"{due}: some {format_duration(self.hours * 3600)} to load{place} ({how})"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def estimate(days: int, settings: TqSettings, measured: Measured) -> Estimate:
    """Time and space for so many days of ticks; pure."""
    per_day = measured.ticks_per_day or ASSUMED_TICKS
    client = per_day / TICKS_PER_SECOND + settings.pace
    assumed = (client + PROCESS_START / settings.days_per_process) / settings.concurrency
    seconds = days * (measured.seconds_per_day or assumed)
    ticks = round(days * per_day)
    return Estimate(
        days,
        ticks,
        hours=round(seconds / 3600, 2),
        gigabytes=round(ticks * BYTES_PER_TICK / 1e9, 2),
        is_measured=measured.seconds_per_day is not None,
    )


def count_unplanned(
    varieties: Sequence[str], window: Sequence[date], planned_from: Mapping[str, date]
) -> int:
    """Days of a window before those that earlier loads planned: all of a new variety; pure."""
    return sum(day < planned_from.get(v, date.max) for v in varieties for day in window)


def read_measured(conn: psycopg.Connection) -> Measured:
    """Measures of this home; nothing before its first loads."""
    if not has_relation(conn, "raw_tq.symbol_day"):
        return Measured()
    [(ticks, stored)] = conn.execute(TICKS_STORED).fetchall()
    loaded, seconds = conn.execute(MEASURED).fetchone() or (0, None)
    return Measured(
        ticks / stored if stored >= ENOUGH_DAYS else None,
        seconds if loaded >= ENOUGH_DAYS else None,
    )


@dataclass(frozen=True)
class _Due:
    """Days that are due by the schedule, and the first that it can have of each variety in it."""

    days: Sequence[Scheduled]
    last_day: date
    planned_from: Mapping[str, date]
    measured: Measured


def estimate_due(
    settings: Settings, warehouse: Warehouse, window: Sequence[date]
) -> Estimate | None:
    """Time and space for the due days, with those of the window that no load planned.

    None before the first schedule.
    """
    if (due := _read_due(settings, warehouse)) is None:
        return None
    new = count_unplanned(settings.tq.varieties, window, due.planned_from)
    return estimate(len(due.days) + new, settings.tq, due.measured)


def preview(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, _: datetime | None
) -> Previewed:
    """The days of ticks that a load would fetch, by the schedule that is built."""
    check_request(settings, request)
    if warehouse is None or (due := _read_due(settings, warehouse)) is None:
        return Previewed((NOTHING_BUILT,), {"days": {}, "estimate": None})
    wanted = request.keys or tuple(settings.tq.varieties)
    first, last = request.since or date.min, request.until or date.max
    by_variety: dict[str, list[date]] = {variety: [] for variety in wanted}
    for day in due.days:
        if day.variety in by_variety and first <= day.trading_day <= last:
            by_variety[day.variety].append(day.trading_day)
    by_variety = {variety: days for variety, days in by_variety.items() if days}
    whole = estimate(sum(map(len, by_variety.values())), settings.tq, due.measured)
    lines = [
        f"{v}: {say_count(len(days), 'day')} from {min(days)} to {max(days)}"
        for v, days in by_variety.items()
    ]
    if new := [variety for variety in wanted if variety not in due.planned_from]:
        lines.append(
            f"{', '.join(new)}: not in the schedule yet, and not counted here; "
            "`loaders check tq` estimates them too"
        )
    detail = {"days": {v: len(d) for v, d in by_variety.items()}, "estimate": whole.as_json()}
    if not whole.days:
        lines.append(f"the schedule ends {due.last_day}")
    return Previewed((*lines, whole.describe(settings)), detail)


def _read_due(settings: Settings, warehouse: Warehouse) -> _Due | None:
    """The due days; None before the first schedule."""
    schema, varieties = warehouse.inner_schema("futures"), settings.tq.varieties

    def read_days(conn: psycopg.Connection) -> _Due | None:
        if not has_relation(conn, "raw_tq.symbol_day"):
            return None
        if not (built := read_last_days(conn, schema, varieties)):
            return None
        covered = {v: landed.coverage(conn, v, settings.tq.route) for v in built}
        # none of this route: the schedule is by the other one, and no day is new
        planned_from = {v: c.first_day if c else date.min for v, c in covered.items()}
        return _Due(
            read_due_days(conn, settings, schema),
            max(built.values()),
            planned_from,
            read_measured(conn),
        )

    return warehouse.ask(read_days)
