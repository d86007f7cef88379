"""Facts of the ticks in a build, for manifests: schedule, rows and hashes."""

import hashlib
from collections.abc import Collection, Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from typing import Any

import psycopg

from loaders.settings import Settings
from loaders.ticks.day_hash import row_hash
from loaders.ticks.questdb.jar import VERSION
from loaders.tq.tick_days.ledger import LedgerRow, read_ledger, read_no_data
from loaders.tq.tick_days.schedule import Scheduled, read_schedule
from quotemill.ticks.columns import DayKey
from quotemill.warehouse.postgres import Warehouse

PACKAGES = ("quotemill", "tqsdk", "questdb", "dlt", "dbt-core")
SECRET = {"account", "password", "sandbox"}


def collect_facts(
    settings: Settings, warehouse: Warehouse, earlier: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Facts that can be checked again later, and what made them.

    None before the first schedule.

    `earlier`: the facts of a manifest; the result is then limited to their days.
    """
    schema = warehouse.inner_schema("futures")

    def read(conn: psycopg.Connection) -> dict[str, Any]:
        schedule = read_schedule(conn, schema)
        if earlier is not None:
            until = {v: date.fromisoformat(x["last_day"]) for v, x in earlier["varieties"].items()}
            schedule = [d for d in schedule if d.trading_day <= until.get(d.variety, date.min)]
        ledger, no_data = read_ledger(conn), read_no_data(conn).keys()
        return {
            variety: _variety_facts(list(days), ledger, no_data)
            for variety, days in groupby(schedule, key=lambda day: day.variety)
        }

    varieties = warehouse.ask(read)
    if not varieties and earlier is None:
        return None
    return {
        "varieties": varieties,
        "made_with": {
            "versions": {name: _version(name) for name in PACKAGES} | _server_version(settings),
            "settings": settings.tq.model_dump(mode="json", exclude=SECRET),
            "store": "questdb",
        },
    }


def _variety_facts(
    schedule: list[Scheduled], ledger: Mapping[DayKey, LedgerRow], no_data: Collection[DayKey]
) -> dict[str, Any]:
    lines = "".join(
        f"{d.variety}|{d.trading_day:%Y%m%d}|{d.contract}|{d.segment_id}\n" for d in schedule
    )
    segments = []
    for segment_id, segment_days in groupby(schedule, key=lambda day: day.segment_id):
        days = list(segment_days)
        rows = [ledger[d.key] for d in days if d.key in ledger]
        held = {row.key: row for row in rows if row.is_visible}
        hash_a = sum(row.hash_a for row in held.values())
        hash_b = sum(row.hash_b for row in held.values())
        segments.append(
            {
                "segment_id": segment_id,
                "contract": days[0].contract,
                "first_day": days[0].trading_day.isoformat(),
                "last_day": days[-1].trading_day.isoformat(),
                "schedule_hash": days[0].schedule_hash,
                "days": len(days),
                "complete_days": sum(row.status == "complete" for row in held.values()),
                "days_without_data": sum(d.key in no_data and d.key not in held for d in days),
                "rows": sum(row.rows for row in held.values()),
                "row_hash": row_hash(hash_a, hash_b),
            }
        )
    return {
        "first_day": schedule[0].trading_day.isoformat(),
        "last_day": schedule[-1].trading_day.isoformat(),
        "schedule_hash": schedule[-1].schedule_hash,
        "schedule_sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "segments": segments,
    }


def _server_version(settings: Settings) -> dict[str, str | None]:
    """The version of this home's QuestDB; None for a jar that the settings name."""
    if not settings.has_own_questdb:
        return {}
    return {"questdb-server": None if settings.questdb.jar else VERSION}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
