"""What a load of China futures leaves to do, and which command does it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg

from loaders.settings import Settings
from loaders.ticks.store import IndexRow, NoDataRow
from loaders.tq import index
from loaders.tq.backlog import Scheduled, backlog, read_schedule, settled_days
from loaders.warehouse.postgres import Warehouse

# the last trading day that has a main contract, by the route of which the schedule is built; a window
# that ends without one is not judged
LAST_MAPPED = """
    with chosen as (
        select distinct on (variety) variety, route, last_day
        from raw_tq.main_harvest
        where variety = any(%(varieties)s)
        order by variety, route <> %(route)s, route <> 'backtest'
    )

    select h.variety, h.last_day
    from chosen as h
    cross join lateral (
        select e.contract
        from raw_tq.main_event as e
        where e.variety = h.variety and e.route = h.route and e.trading_day <= h.last_day
        order by e.trading_day desc, e.event_at desc
        limit 1
    ) as newest
    where newest.contract is not null
    order by h.variety
"""


def due(settings: Settings, warehouse: Warehouse) -> Sequence[str]:
    """A line for each thing that is still due; asks the warehouse alone."""
    schema = warehouse.inner_schema("futures")

    def look(conn: psycopg.Connection) -> Sequence[str]:
        schedule = [d for d in read_schedule(conn, schema) if d.variety in settings.tq.varieties]
        return [*_to_build(conn, settings, schedule), *_to_fetch(conn, settings, schedule)]

    return warehouse.ask(look)


def _to_build(
    conn: psycopg.Connection, settings: Settings, schedule: Sequence[Scheduled]
) -> list[str]:
    rows = conn.execute(
        LAST_MAPPED, {"varieties": settings.tq.varieties, "route": settings.tq.route}
    ).fetchall()
    built = {day.variety: day.trading_day for day in schedule}  # ascending: the last one stays
    late = [variety for variety, last in rows if built.get(variety) != last]
    if not late:
        return []
    return [
        f"`quotemill build`, or `dbt build`, extends the schedule of {', '.join(late)}; "
        "then `loaders run tq` fetches the ticks of its new days"
    ]


def _to_fetch(
    conn: psycopg.Connection, settings: Settings, schedule: Sequence[Scheduled]
) -> list[str]:
    never = datetime.min.replace(tzinfo=UTC)
    copied = [IndexRow(**row, run_id="", updated_at=never) for row in index.copies(conn).values()]
    empty = [NoDataRow(**row) for row in index.no_data_copies(conn).values()]
    row = conn.execute("select now()").fetchone()
    assert row is not None
    found = backlog(
        schedule,
        copied,
        empty,
        settled_days(conn),
        row[0],
        timedelta(days=settings.tq.recheck_after),
        index.outdated(conn, {day.symbol for day in schedule}),
    )
    days = [*found.revised, *found.missing]
    if not days:
        return []
    of = ", ".join(sorted({day.variety for day in days}))
    return [f"{len(days):,} days of ticks of {of} are missing: `loaders run tq` fetches them"]
