"""Rows that a landed table itself refuses: each is found, and costs itself, never its load.

The engine refuses what a table is declared not to hold (loaders/landing/screening.py). What comes this
far is known to PostgreSQL alone: a check or a type of a table that somebody altered, a value that no
declaration excludes. The cursors that came with such a row have moved; the row is in the table of
refused rows, and qa_rejected_rows tells of it.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

from loaders.landing.rejects import OF_TABLE, Rejected, key_of, mended, rejected_rows, shown
from loaders.landing.screening import python_value
from loaders.landing.upsert import COPY_ROWS, ROW_NO, Reason, Staged
from loaders.warehouse.tables import LOAD_ID

log = logging.getLogger(__name__)

OF_A_ROW = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
MOST = 1_000  # of a file; where a table refuses more, it is the table that is wrong


def find(
    conn: psycopg.Connection, staged: Staged, statement: bytes, types: Mapping[str, str], q: Any
) -> dict[int, Reason]:
    """The rows of `_land`, by their number in the file, that `statement` cannot take from it.

    They are gone from `_land` afterwards. By halves: each part is tried and rolled back. Raises the
    error itself where more than MOST rows are refused.
    """
    columns = ", ".join(map(q, staged.columns))
    number = ROW_NO if staged.is_numbered else f"row_number() over () as {ROW_NO}"
    conn.execute(
        f"create temp table _all on commit drop as select {number}, {columns} from _land".encode()
    )
    conn.execute(f"create index on _all ({ROW_NO})".encode())
    conn.execute(b"analyze _all")
    [(first, last)] = conn.execute(f"select min({ROW_NO}), max({ROW_NO}) from _all".encode())

    def fill(condition: str, values: Sequence[object]) -> None:
        conn.execute(b"truncate _land")
        conn.execute(
            f"insert into _land ({columns}) select {columns} from _all where {condition}".encode(),
            values,
        )

    refused: dict[int, Reason] = {}
    spans = [(first, last)]
    while spans:
        first, last = spans.pop()
        try:
            with conn.transaction(force_rollback=True):
                fill(f"{ROW_NO} between %s and %s", (first, last))
                conn.execute(statement)
        except OF_A_ROW as error:
            if first == last:
                refused[first] = _reason(conn, first, staged.columns, types, q, error)
                if len(refused) > MOST:
                    raise
                continue
            middle = (first + last) // 2
            spans += [(middle + 1, last), (first, middle)]
    fill(f"{ROW_NO} <> all(%s)", (list(refused),))
    return refused


def _reason(
    conn: psycopg.Connection,
    number: int,
    columns: Iterable[str],
    types: Mapping[str, str],
    q: Any,
    error: psycopg.Error,
) -> Reason:
    """The column whose cast fails, or what the error names."""
    rule = f"{OF_TABLE}{error.diag.message_primary}"
    for column in columns:
        try:
            with conn.transaction():
                conn.execute(
                    f"select {q(column)}::{types[column]} from _all where {ROW_NO} = %s".encode(),
                    (number,),
                )
        except OF_A_ROW:
            return Reason(column, rule)
    return Reason(error.diag.column_name or error.diag.constraint_name or "", rule)


def drop_units(
    conn: psycopg.Connection,
    path: Path,
    refused: Mapping[int, Reason],
    unit: Sequence[str],
    types: Mapping[str, str],
    q: Any,
) -> int:
    """Of a unit that is replaced as one, one refused row refuses all: take the rest from `_land`, and
    say how many rows it was."""
    if not unit:
        return 0
    units = {tuple(row[name] for name in unit) for row in _rows(path, refused).values()}
    same = " and ".join(f"{q(name)}::{types[name]} = %s" for name in unit)
    with conn.cursor() as cursor:
        cursor.executemany(f"delete from _land where {same}".encode(), list(units))
        return cursor.rowcount


def withdraw(
    conn: psycopg.Connection,
    path: Path,
    schema: str,
    dataset: str,
    key: Sequence[str],
    unit: Sequence[str],
    load_id: str,
) -> None:
    """Withdraw what the table refused of the rows of a file; `keep` then says what it still refuses."""
    landed = rejected_rows(schema)
    found = conn.execute(
        f"select row_key, field, rule, value, payload from {landed.qualified} "
        "where dataset = %s and is_withdrawn is not true and starts_with(rule, %s)".encode(),
        (dataset, OF_TABLE),
    ).fetchall()
    if not found:
        return
    rows = pq.read_table(path, columns=list(unit or key))
    gone = list(mended([Rejected(*row) for row in found], rows, key, unit))
    if not gone:
        return
    conn.cursor().executemany(
        f"update {landed.qualified} set is_withdrawn = true, {LOAD_ID} = %s "
        "where dataset = %s and row_key = %s and field = %s and rule = %s".encode(),
        [(load_id, dataset, row.row_key, row.field, row.rule) for row in gone],
    )
    conn.execute("insert into ops.changes (table_name) values (%s)", (landed.qualified,))


def keep(
    conn: psycopg.Connection,
    path: Path,
    refused: Mapping[int, Reason],
    schema: str,
    dataset: str,
    key: Sequence[str],
    load_id: str,
) -> None:
    """Write refused rows of a file to the source's table of them, and tell the change feed."""
    landed = rejected_rows(schema)
    rows = _rows(path, refused)
    conn.cursor().executemany(
        f"insert into {landed.qualified} as r (dataset, row_key, field, rule, value, payload, "
        f"is_withdrawn, source_route, fetched_at, is_final, {LOAD_ID}) "
        "values (%s, %s, %s, %s, %s, %s, false, %s, %s, true, %s) "
        f"on conflict ({', '.join(landed.key)}) do update set value = excluded.value, "
        "payload = excluded.payload, is_withdrawn = false, source_route = excluded.source_route, "
        f"fetched_at = excluded.fetched_at, {LOAD_ID} = excluded.{LOAD_ID}".encode(),
        [
            (
                dataset,
                key_of(rows[number], key),
                field,
                rule,
                shown(rows[number].get(field)),
                json.dumps(rows[number], default=str).replace("\\u0000", "\\\\0"),
                rows[number]["source_route"],
                rows[number]["fetched_at"],
                load_id,
            )
            for number, (field, rule) in sorted(refused.items())
        ],
    )
    conn.execute("insert into ops.changes (table_name) values (%s)", (landed.qualified,))
    first = min(refused)
    log.warning(
        "%s: %d rows refused, the first: %s: %s",
        dataset,
        len(refused),
        key_of(rows[first], key),
        refused[first].rule,
    )


def _rows(path: Path, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Rows of a file by their number, from 1."""
    wanted, found, before = sorted(numbers), dict[int, dict[str, Any]](), 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(COPY_ROWS):
            for number in wanted:
                if before <= number < before + batch.num_rows:
                    found[number] = {
                        name: python_value(batch.column(name)[number - before])
                        for name in batch.schema.names
                        if name != LOAD_ID
                    }
            before += batch.num_rows
    return found
