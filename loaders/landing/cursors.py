"""Cursors: how far each key of a dataset has come. The only writer of cursor state.

A cursor is text that orders as what it stands for does: a day, a slot. Numbers behind that say
which version of a file was read, a word how, and have no order. Cursors live in dlt's resource
state and move in the package that carries the rows, so they may lag the rows and never lead them.
`ops.ingestion_state` is written from them for people to read.
"""

import base64
import json
import re
import zlib
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from quotemill.warehouse.schemas import has_relation

_STATE_KEY = "cursor"
_VERSION = re.compile(r"(?: [0-9]+)+(?: [a-z]+)?$")


def read_cursors(pipeline_state: Mapping[str, Any], source: str, resource: str) -> dict[str, str]:
    """The cursors of one resource from a pipeline's state, empty before the first load."""
    resources = pipeline_state.get("sources", {}).get(source, {}).get("resources", {})
    return dict(resources.get(resource, {}).get(_STATE_KEY, {}))


def has_waiting(folder: Path) -> bool:
    """Whether packages wait in the folder of a pipeline, where dlt keeps them.

    As dlt's `has_pending_data`, without dlt; a package that was given up may be among them.
    """
    places = (folder / place for place in ("normalize/extracted", "load/normalized"))
    return any(any(place.iterdir()) for place in places if place.is_dir())


def read_state(conn: psycopg.Connection, schema: str, pipeline: str) -> dict[str, Any]:
    """The state that dlt would restore from the warehouse; empty before the first load.

    Without dlt, whose import takes longer than a night that lands nothing.
    """
    states, loads = (sql.Identifier(schema, f"_dlt_{name}") for name in ("pipeline_state", "loads"))
    if not all(has_relation(conn, table.as_string(conn)) for table in (states, loads)):
        return {}
    query = sql.SQL(
        "select s.state from {states} as s inner join {loads} as l on s._dlt_load_id = l.load_id "
        "where s.pipeline_name = %s and l.status = 0 order by l.load_id desc limit 1"
    )
    row = conn.execute(query.format(states=states, loads=loads), (pipeline,)).fetchone()
    return json.loads(zlib.decompress(base64.b64decode(row[0]))) if row else {}


def advance(resource_state: MutableMapping[str, Any], moves: Mapping[str, str]) -> None:
    """Move cursors inside a running resource. What a cursor has reached never moves back."""
    stored = resource_state.setdefault(_STATE_KEY, {})
    for key, cursor in moves.items():
        if _reached(cursor) >= _reached(stored.get(key, "")):
            stored[key] = cursor


def _reached(cursor: str) -> str:
    return _VERSION.sub("", cursor)


def publish(
    conn: psycopg.Connection, source: str, dataset: str, cursors: Mapping[str, str], at: datetime
) -> None:
    """Write cursors to `ops.ingestion_state`; rows with the same cursor are left alone."""
    keys = sorted(cursors)
    conn.execute(
        """
        insert into ops.ingestion_state as s
            (source, dataset, key, cursor, last_success_date, last_success_at)
        select %s, %s, key, cursor, last, %s
        from unnest(%s::text[], %s::text[], %s::date[]) as c (key, cursor, last)
        on conflict (source, dataset, key) do update set
            cursor = excluded.cursor,
            last_success_date = excluded.last_success_date,
            last_success_at = excluded.last_success_at
        where s.cursor is distinct from excluded.cursor
        """,
        (
            source,
            dataset,
            at,
            keys,
            [cursors[key] for key in keys],
            [_day(cursors[key]) for key in keys],
        ),
    )


def _day(cursor: str) -> date | None:
    """The day that a cursor starts with; None for a cursor of another kind."""
    try:
        return date.fromisoformat(cursor[:10])
    except ValueError:
        return None
