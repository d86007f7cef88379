"""Work that a load of China futures leaves, and the command that does it; days that it fetches."""

from collections.abc import Sequence
from datetime import date, datetime
from importlib.resources import files

import psycopg

from loaders.engine.request import LoadRequest
from loaders.engine.source import Previewed
from loaders.settings import Settings
from loaders.tq.datasets.tick_minute import MOST_DAYS, count_due_days
from loaders.tq.request import check_request
from loaders.tq.tick_days.ledger import read_no_data, read_rejudged, read_short_days
from loaders.tq.tick_days.plan import NOTHING_BUILT
from loaders.tq.tick_days.recent_ticks import PERMISSION_SETTING
from loaders.tq.tick_days.rules import find_due_days
from loaders.tq.tick_days.schedule import (
    Scheduled,
    read_incomplete_days,
    read_last_days,
    read_settled_days,
)
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import say_count

# the time of the newest load, which may not be the clock's: a day on record is due again some time
# after
LAST_LOAD = """
    select coalesce(
        (select as_of from ops.ingestion_jobs where source = 'tq' order by job_id desc limit 1),
        now()
    )
"""
MAY_DOWNLOAD = "select value = 'true' from ops.settings where key = %s"


def list_next_steps(settings: Settings, warehouse: Warehouse) -> Sequence[str]:
    """A line for each thing that is due; queries the warehouse only."""
    schema = warehouse.inner_schema("futures")

    def read(conn: psycopg.Connection) -> Sequence[str]:
        return [
            *_to_build(conn, settings, schema),
            *_to_fetch(conn, settings, schema),
            *_to_make(conn, settings),
        ]

    return warehouse.ask(read)


def _to_build(conn: psycopg.Connection, settings: Settings, schema: str) -> list[str]:
    varieties = settings.tq.varieties
    query = files("loaders.tq").joinpath("last_mapped_days.sql").read_bytes()
    mapped = conn.execute(query, {"varieties": varieties, "route": settings.tq.route})
    built = read_last_days(conn, schema, varieties)
    late = [variety for variety, last in mapped.fetchall() if built.get(variety) != last]
    if not late:
        return []
    return [
        "run `quotemill build` (or `dbt build`) to extend the schedule of "
        f"{', '.join(late)}, then `loaders run tq` to fetch the ticks of its new days"
    ]


def read_due_days(conn: psycopg.Connection, settings: Settings, schema: str) -> list[Scheduled]:
    """The days of ticks that the next load downloads, by its own rules."""
    varieties = settings.tq.varieties
    rejudged = read_rejudged(conn, [f"KQ.m@{variety}" for variety in varieties])
    [(as_of,)] = conn.execute(LAST_LOAD)
    short = read_short_days(conn)
    return find_due_days(
        read_incomplete_days(conn, schema, varieties, rejudged),
        {key: short[key] for key in short.keys() - rejudged.keys()},
        {key: row["checked_at"] for key, row in read_no_data(conn).items() if key not in rejudged},
        read_settled_days(conn),
        as_of=as_of,
    )


def preview(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, _: datetime | None
) -> Previewed:
    """The days of ticks that a load would fetch, by the schedule that is built."""
    check_request(settings, request)

    def read(conn: psycopg.Connection) -> tuple[dict[str, date], list[Scheduled]]:
        schema = warehouse.inner_schema("futures") if warehouse else ""
        if not has_relation(conn, "raw_tq.symbol_day"):
            return {}, []
        built = read_last_days(conn, schema, settings.tq.varieties)
        return built, read_due_days(conn, settings, schema) if built else []

    built, due = warehouse.ask(read) if warehouse else ({}, [])
    if not built:
        return Previewed((NOTHING_BUILT,), {"days": {}})
    first, last = request.since or date.min, request.until or date.max
    days: dict[str, list[date]] = {v: [] for v in request.keys or settings.tq.varieties}
    for day in due:
        if day.variety in days and first <= day.trading_day <= last:
            days[day.variety].append(day.trading_day)
    lines = [
        f"{v}: {say_count(len(due), 'day')} from {min(due)} to {max(due)}"
        for v, due in days.items()
        if due
    ]
    if new := [variety for variety in days if variety not in built]:
        lines.append(f"{', '.join(new)}: not in the schedule yet, so not counted here")
    if count := sum(map(len, days.values())):
        lines.append(say_count(count, "day of ticks is due", "days of ticks are due"))
    else:
        lines += [f"the schedule ends on {max(built.values())}", "no days of ticks are due"]
    return Previewed(tuple(lines), {"days": {v: len(due) for v, due in days.items() if due}})


def _to_fetch(conn: psycopg.Connection, settings: Settings, schema: str) -> list[str]:
    days = read_due_days(conn, settings, schema)
    if not days:
        return []
    late = ", ".join(sorted({day.variety for day in days}))
    if conn.execute(MAY_DOWNLOAD, (PERMISSION_SETTING,)).fetchone() == (False,):
        return [
            f"{say_count(len(days), 'day')} of ticks of {late} due but not available: the "
            "account may not download tick history (tq_dl). `loaders run tq` loads the "
            "latest ticks, and those recorded by `loaders run tq --mode live`"
        ]
    symbols = sorted({day.symbol for day in days})
    short = read_short_days(conn).keys() | read_rejudged(conn, symbols).keys()
    short_count = sum(day.key in short for day in days)
    lines = []
    if missing := len(days) - short_count:
        lines.append(
            f"{say_count(missing, 'day')} of ticks of {late} missing: run `loaders run "
            "tq` to fetch them"
        )
    if short_count:
        lines.append(
            f"{say_count(short_count, 'day')} of ticks of {late} short of the day bars: "
            "run `loaders run tq` to retry them"
        )
    return lines


def _to_make(conn: psycopg.Connection, settings: Settings) -> list[str]:
    count = count_due_days(conn, [f"KQ.m@{variety}" for variety in settings.tq.varieties])
    if not count:
        return []
    return [
        f"{say_count(count, 'day')} of ticks without minute bars yet: run `loaders run "
        f"tq` to build up to {2 * MOST_DAYS:,} of them, or `loaders run tq --dataset "
        "tick_minute` to build all"
    ]
