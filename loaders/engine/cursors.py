"""Cursors: the newest final trading day of each key of a dataset. The only writer of cursor state.

They live in dlt's resource state and move in the package that carries the rows, so they may lag the
rows and never lead them. `ops.ingestion_state` is written from them for people to read.
"""

import json
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime
from typing import Any

import psycopg

_STATE_KEY = "cursor"


def read(pipeline_state: Mapping[str, Any], source: str, resource: str) -> dict[str, date]:
    """The cursors of one resource from a pipeline's state, empty before the first load."""
    resources = pipeline_state.get("sources", {}).get(source, {}).get("resources", {})
    stored: Mapping[str, str] = resources.get(resource, {}).get(_STATE_KEY, {})
    return {key: date.fromisoformat(text) for key, text in stored.items()}


def advance(resource_state: MutableMapping[str, Any], moves: Mapping[str, date]) -> None:
    """Move cursors inside a running resource. A cursor never moves back."""
    stored = resource_state.setdefault(_STATE_KEY, {})
    for key, day in moves.items():
        stored[key] = max(stored.get(key, ""), day.isoformat())


def publish(
    conn: psycopg.Connection, source: str, dataset: str, cursors: Mapping[str, date], at: datetime
) -> None:
    """Write cursors to `ops.ingestion_state`; rows that say the same already are left alone."""
    keys = sorted(cursors)
    conn.execute(
        """
        insert into ops.ingestion_state as s
            (source, dataset, key, last_success_date, last_success_at, cursor_payload)
        select %s, %s, key, last, %s, payload
        from unnest(%s::text[], %s::date[], %s::jsonb[]) as c (key, last, payload)
        on conflict (source, dataset, key) do update set
            last_success_date = excluded.last_success_date,
            last_success_at = excluded.last_success_at,
            cursor_payload = excluded.cursor_payload
        where s.cursor_payload is distinct from excluded.cursor_payload
        """,
        (
            source,
            dataset,
            at,
            keys,
            [cursors[key] for key in keys],
            [json.dumps({"code": key, "date": cursors[key].isoformat()}) for key in keys],
        ),
    )
