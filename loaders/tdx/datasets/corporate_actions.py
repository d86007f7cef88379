"""Dataset `corporate_actions`: what the configured source says now, and what it withdrew."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from loaders.engine import rejects
from loaders.engine.jobs import Task
from loaders.engine.load import Load
from loaders.tdx.bars.plausibility import Rejected
from loaders.tdx.files.actions_csv import ActionSet, read_actions
from loaders.tdx.schemas import CORPORATE_ACTION, REJECTED_ROW
from loaders.trading_time import SHANGHAI
from loaders.warehouse.tables import STANDARD_FIELDS, Batch, conform

DATASET = "corporate_actions"
_OWN = [
    name for name in CORPORATE_ACTION.schema.names if name not in {f.name for f in STANDARD_FIELDS}
]


def load(run: Load, task: Task, source: Path | Literal["xdxr"]) -> None:
    """Land the actions of the task's codes. Raises SettingsError for an unusable source."""
    found = read_actions(source, task.codes)
    name = "xdxr" if source == "xdxr" else "csv"
    now = run.clock()
    gone = run.warehouse.ask(lambda conn: withdrawn(conn, found, name))
    mended = run.warehouse.ask(lambda conn: no_longer_refused(conn, found, task.codes, name))

    def batches() -> Iterator[Batch]:
        rows = [asdict(row) | {"is_withdrawn": False} for row in found.rows] + gone
        yield Batch(
            table(rows, str(source), now) if rows else None,
            rejects.table(DATASET, found.rejected, str(source), now, mended),
            {name: now.astimezone(SHANGHAI).date()},
        )

    run.land(task, CORPORATE_ACTION, batches(), REJECTED_ROW)
    task.failures.update(found.failed)
    task.done = len(task.codes) - len(found.failed)
    for row in found.rejected:
        run.warn(f"{row.row_key}: {row.field}: {row.rule} (found {row.value!r})")
    for column in found.unknown_columns:
        run.warn(f"column not read: {column}")


def withdrawn(conn: psycopg.Connection, found: ActionSet, source: str) -> list[dict[str, Any]]:
    """Stored rows that the source no longer has, marked as such.

    Those of covered codes, and those of any day that the source still has: `seq` counts within a
    day, so a day with one row less has lost its last number.
    """
    present = {(row.code, row.ex_date, row.seq) for row in found.rows}
    present_days = {(row.code, row.ex_date) for row in found.rows}
    with conn.cursor(row_factory=dict_row) as cur:
        stored = cur.execute(
            "select * from raw_tdx.corporate_action "
            "where source = %s and not is_withdrawn and code = any(%s)",
            (source, sorted({*found.covers, *(code for code, _ in present_days)})),
        ).fetchall()
    return [
        {name: row[name] for name in _OWN} | {"is_withdrawn": True}
        for row in stored
        if (row["code"], row["ex_date"], row["seq"]) not in present
        and (row["code"] in found.covers or (row["code"], row["ex_date"]) in present_days)
    ]


def no_longer_refused(
    conn: psycopg.Connection, found: ActionSet, codes: Sequence[str], source: str
) -> list[Rejected]:
    """What an earlier reading refused and this one does not: the newest reading counts.

    Files are read whole; of the quote servers only what was asked for and answered.
    """
    stored = conn.execute(
        "select row_key, field, rule, value, payload from raw_tdx.rejected_row "
        "where dataset = %s and is_withdrawn is not true "
        "and case when row_key like 'xdxr %%' then split_part(row_key, ' ', 2) = any(%s) "
        "else %s = 'csv' end",
        (DATASET, sorted(set(codes) - set(found.failed)) if source == "xdxr" else [], source),
    )
    refused = {(row.row_key, row.field, row.rule) for row in found.rejected}
    return [Rejected(*row) for row in stored if row[:3] not in refused]


def table(rows: Sequence[dict[str, Any]], source_route: str, fetched_at: datetime) -> pa.Table:
    own = pa.schema([CORPORATE_ACTION.schema.field(name) for name in _OWN])
    columns = {f.name: pa.array([row[f.name] for row in rows], f.type) for f in own}
    size = len(rows)
    return conform(
        pa.table(
            columns
            | {
                "source_route": pa.array([source_route] * size, pa.string()),
                "fetched_at": pa.array([fetched_at] * size, pa.timestamp("us", tz="UTC")),
                "is_final": pa.array([True] * size, pa.bool_()),
            }
        ),
        CORPORATE_ACTION,
    )
