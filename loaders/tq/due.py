"""What a load of China futures leaves to do, and which command does it."""

from collections.abc import Sequence
from datetime import timedelta

import psycopg

from loaders.settings import Settings
from loaders.ticks.store import NoDataRow
from loaders.tq.tick_days import index_rows
from loaders.tq.tick_days.backlog import backlog, lacking_days, last_days, settled_days
from loaders.tq.tick_days.recent_ticks import TOLD
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

# the moment of the newest load, which may not be the clock's: a day on record is due again some time after
NOW = """
    select coalesce(
        (select as_of from ops.ingestion_jobs where source = 'tq' order by job_id desc limit 1), now()
    )
"""

# what the newest load that asked was told
MAY = "select value = 'true' from ops.settings where key = %s"


def due(settings: Settings, warehouse: Warehouse) -> Sequence[str]:
    """A line for each thing that is still due; asks the warehouse alone."""
    schema = warehouse.inner_schema("futures")

    def look(conn: psycopg.Connection) -> Sequence[str]:
        return [*_to_build(conn, settings, schema), *_to_fetch(conn, settings, schema)]

    return warehouse.ask(look)


def _to_build(conn: psycopg.Connection, settings: Settings, schema: str) -> list[str]:
    varieties = settings.tq.varieties
    mapped = conn.execute(LAST_MAPPED, {"varieties": varieties, "route": settings.tq.route})
    built = last_days(conn, schema, varieties)
    late = [variety for variety, last in mapped.fetchall() if built.get(variety) != last]
    if not late:
        return []
    return [
        f"`quotemill build`, or `dbt build`, extends the schedule of {', '.join(late)}; "
        "then `loaders run tq` fetches the ticks of its new days"
    ]


def _to_fetch(conn: psycopg.Connection, settings: Settings, schema: str) -> list[str]:
    """The loader's own rules, over the days that the copy of the index has not as complete."""
    outdated = index_rows.outdated(conn, [f"KQ.m@{variety}" for variety in settings.tq.varieties])
    schedule = lacking_days(conn, schema, settings.tq.varieties, outdated)
    empty = [NoDataRow(**row) for row in index_rows.no_data_copies(conn).values()]
    [(now,)] = conn.execute(NOW)
    recheck = timedelta(days=settings.tq.recheck_after)
    days = backlog(schedule, (), empty, settled_days(conn), now, recheck).missing
    if not days:
        return []
    of = ", ".join(sorted({day.variety for day in days}))
    told = conn.execute(MAY, (TOLD,)).fetchone()
    if told == (False,):
        return [
            f"{len(days):,} days of ticks of {of} are due and not to be had: the account may not download "
            "their history (tq_dl); `loaders run tq` takes what the newest ticks hold"
        ]
    return [f"{len(days):,} days of ticks of {of} are missing: `loaders run tq` fetches them"]
