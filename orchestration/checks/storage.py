"""Daily checks of storage: disk, archive and retention of option chains."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import psycopg

from loaders.check import Check
from loaders.settings import Settings
from loaders.warehouse.disks import list_disks
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

VIEW = "chain_intraday"
SLACK = timedelta(days=7)  # a weekly job may not be due until tomorrow


def check(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, as_of: datetime
) -> Iterator[Check]:
    """Check the disks, and archive and retention where the archive is used."""
    yield from (disk.check(settings.alerts.disk_percent) for disk in list_disks(settings))
    if has_relation(conn, "ops.archive_partitions"):
        yield from _check_archive(conn, warehouse, settings, as_of)


def _check_archive(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, as_of: datetime
) -> Iterator[Check]:
    from orchestration.archive import closed
    from orchestration.archive.views import find_view

    [(count, newest)] = conn.execute(
        "select count(*), max(partition_date) from ops.archive_partitions "
        "where schema_name = %s and view_name = %s",
        (warehouse.inner_schema("options"), VIEW),
    )
    if not count:
        return
    today = closed.today(as_of)
    unjudged = closed.list_waiting_days(conn, warehouse, as_of)
    waiting = sorted(
        {*unjudged, *closed.list_days_to_check(conn, warehouse, find_view(VIEW), as_of)}
    )
    figures = {
        "archived_until": newest,
        "waiting_days": len(waiting),
        "oldest_waiting_date": waiting[0] if waiting else None,
    }
    yield _make_check("archive", not waiting or waiting[0] >= today - SLACK, figures)
    retained = settings.ib.intraday_retain_days
    oldest = _find_oldest_slots(conn, warehouse)
    passes = oldest is None or oldest >= today - timedelta(days=retained) - SLACK
    figures = {"oldest_slots_date": oldest, "retain_days": retained}
    yield _make_check("retention", passes, figures)


def _make_check(name: str, passes: bool, figures: Mapping[str, Any]) -> Check:
    return Check(name, "ok" if passes else "fail", figures=figures)


def _find_oldest_slots(conn: psycopg.Connection, warehouse: Warehouse) -> date | None:
    """The oldest day with slots in the warehouse; restored days do not count."""
    from orchestration.archive import closed

    [(day,)] = conn.execute(
        f"""
        {closed.LANDED_DAYS}
        select min(l.day) from landed as l
        where not exists (
            select 1 from ops.archive_partitions as p
            where p.schema_name = %s and p.view_name = %s and p.partition_date = l.day
                and p.restored_at is not null
        )
        """.encode(),
        (warehouse.inner_schema("options"), VIEW),
    ).fetchall()
    return day if isinstance(day, date) else None
