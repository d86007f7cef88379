"""Stages of the option chain universe: open, ready to open, and who decided."""

from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from loaders.check import Check
from orchestration.archive.closed import require_chains
from quotemill.errors import DataQualityError, UsageError
from quotemill.warehouse.postgres import Warehouse


def list_stages(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Read qa.qa_option_gates. Raises UsageError before the first build."""
    with warehouse.connect() as conn:
        return _read(conn, warehouse)


def check_stage(row: dict[str, Any]) -> Check:
    """The check of a stage: a warning where what is open goes wrong."""
    by = f" by {row['decided_by']}" if row["decided_by"] and row["state"] == "open" else ""
    text = f"{row['state']}: {row['symbols']}{by}"
    text = "; ".join(filter(None, (text, row["reason"], row["warning"])))
    fix = f"quotemill gate open {row['stage']} --by NAME" if row["state"] == "ready" else ""
    return Check(f"stage {row['stage']}", "warn" if row["warning"] else "ok", text, fix)


def decide(
    warehouse: Warehouse, stage: int, action: str, by: str, note: str | None, force: bool = False
) -> dict[str, Any]:
    """Record that a stage is opened or closed, by whom, with its figures.

    `action` is open or close. Settings and universe do not change. Raises UsageError for an unknown
    stage and for one that is already open or closed; DataQualityError if a stage that is not
    ready is opened without `force`.
    """
    with warehouse.connect() as conn:
        rows = {row["stage"]: row for row in _read(conn, warehouse)}
        row = rows.get(stage)
        if row is None or stage == 0:
            hint = f"Choose a stage from 1 to {max(rows)}."
            raise UsageError(f"stage {stage} cannot be opened or closed", hint=hint)
        if (action == "open") == (row["state"] == "open"):
            raise UsageError(f"stage {stage} is already {row['state']}")
        if action == "open" and row["state"] != "ready" and not force:
            raise DataQualityError(
                f"stage {stage} cannot be opened yet: {row['reason']}",
                hint="See `quotemill gate list`, or use --force, which is recorded.",
            )
        figures = {name: value for name, value in row.items() if value is not None}
        conn.execute(
            "insert into ops.option_gates (stage, action, decided_by, note, figures) "
            "values (%s, %s, %s, %s, %s)",
            (stage, action, by, note, Jsonb(figures | {"forced": force}, dumps=_dumps)),
        )
        return next(row for row in _read(conn, warehouse) if row["stage"] == stage)


def _dumps(value: Any) -> str:
    import json

    return json.dumps(value, default=str)


def _read(conn: psycopg.Connection, warehouse: Warehouse) -> list[dict[str, Any]]:
    gates = f"{warehouse.inner_schema('qa')}.qa_option_gates"
    require_chains(conn, gates)
    query = f"select * from {gates} order by stage"
    return conn.cursor(row_factory=dict_row).execute(query.encode()).fetchall()
