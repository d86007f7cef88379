"""What the ticks of a build came to: windows, schedule, rows and hashes of each segment, for manifests."""

import hashlib
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from typing import Any

import psycopg

from loaders.settings import Settings
from loaders.ticks.day_hash import row_hash
from loaders.ticks.open_store import LOCAL
from loaders.ticks.questdb.jar import VERSION
from loaders.tq.tick_days import index_rows
from loaders.tq.tick_days.backlog import Scheduled, read_schedule
from loaders.warehouse.postgres import Warehouse

PACKAGES = ("quotemill", "tqsdk", "questdb", "dlt", "dbt-core")
SECRET = {"account", "password", "auth_url", "md_url", "holiday_url", "cont_table_url"}


def facts(
    settings: Settings, warehouse: Warehouse, earlier: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """What can be checked again later, and what it was made with. None where no schedule is built.

    With the `earlier` facts of a manifest: the same of the days that those were about.
    """
    schema = warehouse.inner_schema("futures")

    def look(conn: psycopg.Connection) -> dict[str, Any]:
        schedule = read_schedule(conn, schema)
        if earlier is not None:
            until = {
                v: date.fromisoformat(told["last_day"]) for v, told in earlier["varieties"].items()
            }
            schedule = [d for d in schedule if d.trading_day <= until.get(d.variety, date.min)]
        copied = index_rows.copies(conn)
        empty = set(index_rows.no_data_copies(conn))
        return {
            variety: _of_variety(list(days), copied, empty)
            for variety, days in groupby(schedule, key=lambda day: day.variety)
        }

    found = warehouse.ask(look)
    if not found and earlier is None:
        return None
    return {
        "varieties": found,
        "made_with": {
            "versions": {name: _version(name) for name in PACKAGES} | _of_server(settings),
            "settings": settings.tq.model_dump(mode="json", exclude=SECRET),
            "store": "questdb" if settings.questdb_url else "warehouse",
        },
    }


def _of_variety(
    schedule: list[Scheduled], copied: Mapping[Any, Mapping[str, Any]], empty: set[Any]
) -> dict[str, Any]:
    lines = "".join(
        f"{d.variety}|{d.trading_day:%Y%m%d}|{d.contract}|{d.segment_id}\n" for d in schedule
    )
    complete = {d.key for d in schedule if copied.get(d.key, {}).get("status") == "complete"}
    segments = []
    for segment_id, of_segment in groupby(schedule, key=lambda day: day.segment_id):
        days = list(of_segment)
        there = [copied[d.key] for d in days if d.key in complete]
        a, b = (sum(row[name] for row in there) for name in ("hash_a", "hash_b"))
        segments.append(
            {
                "segment_id": segment_id,
                "contract": days[0].contract,
                "first_day": days[0].trading_day.isoformat(),
                "last_day": days[-1].trading_day.isoformat(),
                "schedule_hash": days[0].schedule_hash,
                "days": len(days),
                "complete_days": len(there),
                "days_without_data": sum(d.key in empty and d.key not in complete for d in days),
                "rows": sum(row["rows"] for row in there),
                "row_hash": row_hash(a, b),
            }
        )
    return {
        "first_day": schedule[0].trading_day.isoformat(),
        "last_day": schedule[-1].trading_day.isoformat(),
        "schedule_hash": schedule[-1].schedule_hash,
        "schedule_sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "segments": segments,
    }


def _of_server(settings: Settings) -> dict[str, str | None]:
    """The version of a QuestDB of this home; none where the settings name its jar, which may be any."""
    if settings.questdb_url is None or settings.questdb_url.get_secret_value() != LOCAL:
        return {}
    return {"questdb-server": None if settings.questdb.jar else VERSION}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
