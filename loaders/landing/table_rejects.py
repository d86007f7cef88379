"""Rows that a landed table itself refuses: each is searched for, and costs itself, not its load.

What a table is declared not to hold is rejected before (loaders/landing/screening.py). What comes
this far PostgreSQL alone knows: a check or a type of a table that somebody altered, a value that no
declaration excludes. The cursors that came with such a row have moved; the row is in the table of
rejected rows, and qa_rejected_rows reports it.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

from loaders.landing.change_feed import touch
from loaders.landing.rejects import (
    BY_TABLE,
    Rejected,
    open_rejects,
    rejected_rows,
    row_key,
    shown,
    withdrawn,
)
from loaders.landing.screening import python_value
from loaders.landing.staging import COPY_ROWS, ROW_NO, Reason, Staged
from loaders.landing.target import Target, names
from loaders.warehouse.tables import LOAD_ID, LandedTable
from quotemill.errors import DataQualityError, name_acceptance

log = logging.getLogger(__name__)

ROW_ERRORS = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
MOST = 1_000  # of a file; where a table refuses more, it is the table that is wrong


class TooManyRejected(DataQualityError):
    """A table refuses more rows of a file than single bad rows explain."""


def take_rejects(
    conn: psycopg.Connection, target: Target, staged: Staged, statement: bytes
) -> dict[int, Reason]:
    """Remove the rows from `_land` that `statement` cannot take; they are returned by number.

    By halves: each part is tried and rolled back. Raises TooManyRejected where more than MOST rows
    are refused, unless that is accepted.
    """
    columns = names(staged.columns)
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

    rejected: dict[int, Reason] = {}
    spans = [(first, last)]
    while spans:
        first, last = spans.pop()
        try:
            with conn.transaction(force_rollback=True):
                fill(f"{ROW_NO} between %s and %s", (first, last))
                conn.execute(statement)
        except ROW_ERRORS as error:
            if first == last:
                rejected[first] = _reason(conn, first, target, staged.columns, error=error)
                if len(rejected) > MOST and not target.accepts_loss:
                    source = target.schema.removeprefix("raw_")
                    way_out = name_acceptance(source, str(target.loaded_by))
                    raise TooManyRejected(
                        f"{target.schema}.{target.table} refuses more than {MOST:,} rows of a"
                        f" package, the last by: {error.diag.message_primary}",
                        hint="drop the constraint or trigger that was added to the table, then run"
                        f" again; to reject these rows {way_out}",
                    ) from error
                continue
            middle = (first + last) // 2
            spans += [(middle + 1, last), (first, middle)]
    fill(f"{ROW_NO} <> all(%s)", (list(rejected),))
    return rejected


def _reason(
    conn: psycopg.Connection,
    number: int,
    target: Target,
    columns: Iterable[str],
    *,
    error: psycopg.Error,
) -> Reason:
    """The column whose cast fails, or the column or constraint that the error names."""
    rule = f"{BY_TABLE}{error.diag.message_primary}"
    for column in columns:
        query = f"select {target.cast(column)} from _all where {ROW_NO} = %s"
        try:
            with conn.transaction():
                conn.execute(query.encode(), (number,))
        except ROW_ERRORS:
            return Reason(column, rule)
    return Reason(error.diag.column_name or error.diag.constraint_name or "", rule)


def drop_units(conn: psycopg.Connection, path: Path, target: Target, staged: Staged) -> int:
    """Delete the rest of rejected rows' units from `_land`; the number of rows.

    One rejected row rejects all of a unit that is replaced as one.
    """
    if not target.unit:
        return 0
    rows = _rejected_rows(path, staged).values()
    units = {tuple(row[name] for name in target.unit) for row in rows}
    same = " and ".join(f"{target.cast(name)} = %s" for name in target.unit)
    with conn.cursor() as cursor:
        cursor.executemany(f"delete from _land where {same}".encode(), list(units))
        return cursor.rowcount


def update_rejects(
    conn: psycopg.Connection, path: Path, target: Target, staged: Staged, *, load_id: str
) -> None:
    """Withdraw what the table refused of the rows of a file before, then write what it refuses now.

    The change feed has both.
    """
    table = rejected_rows(target.schema)
    before = open_rejects(conn, table, str(target.dataset), by_table=True)
    gone: list[Rejected] = []
    if before:
        landed = pq.read_table(path, columns=list(target.unit or target.key))
        gone = list(withdrawn(before, landed, target.key, target.unit))
        conn.cursor().executemany(
            f"update {table.qualified} set is_withdrawn = true, {LOAD_ID} = %s "
            "where dataset = %s and row_key = %s and field = %s and rule = %s".encode(),
            [(load_id, target.dataset, row.row_key, row.field, row.rule) for row in gone],
        )
    if gone or staged.rejected:
        touch(conn, table)
    if not staged.rejected:
        return
    rows = _rejected_rows(path, staged)
    conn.cursor().executemany(
        f"insert into {table.qualified} as r (dataset, row_key, field, rule, value, payload, "
        f"is_withdrawn, source_route, fetched_at, is_final, {LOAD_ID}) "
        "values (%s, %s, %s, %s, %s, %s, false, %s, %s, true, %s) "
        f"on conflict ({', '.join(table.key)}) do update set value = excluded.value, "
        "payload = excluded.payload, is_withdrawn = false, source_route = excluded.source_route, "
        f"fetched_at = excluded.fetched_at, {LOAD_ID} = excluded.{LOAD_ID}".encode(),
        [
            (
                target.dataset,
                row_key(rows[number], target.key),
                field,
                rule,
                shown(rows[number].get(field)),
                json.dumps(rows[number], default=str).replace("\\u0000", "\\\\0"),
                rows[number]["source_route"],
                rows[number]["fetched_at"],
                load_id,
            )
            for number, (field, rule) in sorted(staged.rejected.items())
        ],
    )
    first = min(staged.rejected)
    log.warning(
        "%s: %d rows refused, the first: %s: %s",
        target.dataset,
        len(staged.rejected),
        row_key(rows[first], target.key),
        staged.rejected[first].rule,
    )


def count_refused(conn: psycopg.Connection, rejects: LandedTable, load_ids: Sequence[str]) -> int:
    """How many rows of some packages tables refused."""
    [(number,)] = conn.execute(
        f"select count(distinct (dataset, row_key)) from {rejects.qualified} where {LOAD_ID} = "
        "any(%s) and starts_with(rule, %s) and is_withdrawn is not true".encode(),
        (list(load_ids), BY_TABLE),
    ).fetchall()
    return int(number)


def _rejected_rows(path: Path, staged: Staged) -> dict[int, dict[str, Any]]:
    """The rejected rows of a file by their number, from 1; each is read once."""
    wanted, before = sorted(staged.rejected.keys() - staged.rows.keys()), 1
    if not wanted:
        return staged.rows
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(COPY_ROWS):
            for number in wanted:
                if before <= number < before + batch.num_rows:
                    staged.rows[number] = {
                        name: python_value(batch.column(name)[number - before])
                        for name in batch.schema.names
                        if name != LOAD_ID
                    }
            before += batch.num_rows
    return staged.rows
