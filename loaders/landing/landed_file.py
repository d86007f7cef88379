"""One file of rows into its landed table.

1. If its rows follow the stored ones of their codes: COPY straight into the table
   (loaders/landing/first_copy.py), without key and indexes if it is empty
   (loaders/landing/first_rows.py).
   Else binary COPY into a temp table, 50,000 rows at a time.
2. Of a unit that is replaced as one (a day of ticks): DELETE of the rows that it has no more.
   Rows that these two steps replace or delete are kept, where the settings say so.
3. INSERT .. SELECT .. ON CONFLICT (key) DO UPDATE .. WHERE the row differs and is not worse.
4. What these wrote, by key and date, into the change feed.
5. One row in ops.landed_files.

Of the first file of a table 1 may be over when it comes (loaders/landing/early_copy.py).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
import pyarrow.parquet as pq

from loaders.landing import first_rows, lineage
from loaders.landing.editions.choose import open_table
from loaders.landing.editions.plain import PlainTable
from loaders.landing.first_copy import Changes, copy_straight, find_encoder
from loaders.landing.history import keep_replaced
from loaders.landing.staging import FileRows, copy_to_stage
from loaders.landing.target import Target
from loaders.landing.upsert import best_first_sql, replace_units, replaces_sql, upsert_sql
from loaders.warehouse.content import require_content
from loaders.warehouse.tables import ROUTE_NO


def land_file(
    conn: psycopg.Connection, path: Path, target: Target, *, file_id: str, content: str
) -> None:
    """Land a file; `file_id` is its package, a slash and its own name.

    No transaction is open before; that of the rows is left open for the caller to end. Raises what
    PostgreSQL says of rows that the table refuses, LockHeldError where a restore replaced the
    content that the file was fetched for.
    """
    with pq.ParquetFile(path) as file:
        # a short transaction: other loads that meet a new code must not wait for the rows
        with conn.transaction():
            target = replace(target, types=column_types(conn, target))
            table = open_table(conn, target, file)
            target = table.target
            encoder = find_encoder(conn, file, table)
        has_numbers = ROUTE_NO in target.types
        routes = lineage.number_routes(conn, file) if has_numbers else {}
        # the transaction of the rows starts here; savepoints follow
        require_content(conn, content)
        file_no = lineage.number_file(conn, file_id)
        numbers = lineage.Numbers(routes, file_no)
        table.begin(conn)
        file_rows = FileRows(file, numbers if has_numbers else None)
        copied = copy_straight(conn, file_rows, target, encoder) if encoder else None
        if copied is not None:
            read, new, changed = copied, copied, 0
        else:
            read = copy_to_stage(conn, file_rows)
            new, changed = _write(conn, table, file_rows.schema.names)
    _record_file(conn, target, file_no, file_id, (read, new, changed))


def land_copied(
    conn: psycopg.Connection,
    target: Target,
    changes: Changes,
    dropped: Sequence[str],
    *,
    rows: int,
    file_id: str,
) -> None:
    """Land a file whose rows the open transaction has copied into their table.

    dropped: the statements that build the table's key and indexes
    """
    changes.report(conn)
    first_rows.build(conn, dropped)
    _record_file(conn, target, lineage.number_file(conn, file_id), file_id, (rows, rows, 0))


def _record_file(
    conn: psycopg.Connection,
    target: Target,
    file_no: int,
    file_id: str,
    rows: tuple[int, int, int],
) -> None:
    """Record a file: its number, its id, and its rows that are read, new, changed."""
    if target.key:
        conn.execute(
            "insert into ops.landed_files (file_no, file_id, load_id, schema_name, table_name, "
            "rows_read, rows_new, rows_changed) overriding system value "
            "values (%s, %s, split_part(%s, '/', 1), %s, %s, %s, %s, %s) "
            "on conflict (file_id) do nothing",  # landed before: the first counts stay
            (file_no, file_id, file_id, target.schema, target.table, *rows),
        )


def column_types(conn: psycopg.Connection, target: Target) -> dict[str, str]:
    """The columns of the table, with their types."""
    return dict(
        conn.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            (target.name,),
        ).fetchall()
    )


def _write(conn: psycopg.Connection, table: PlainTable, columns: Sequence[str]) -> tuple[int, int]:
    """Bring `_land` into the table: the numbers of rows that are new, and changed."""
    target = table.target
    deleted = 0
    if target.unit:
        deleted = replace_units(conn, target, table.near(conn), partial(table.delete_rows, conn))
    if not table.keep_differing(conn, columns):
        return 0, deleted
    if target.keeps_history:
        keep_replaced(
            conn,
            target,
            order=best_first_sql(target, columns),
            replaces=replaces_sql(target, columns, lambda c: target.cast(c, "l")),
            near=table.near(conn),
        )
    try:
        # without DISTINCT ON: its sort costs as much as the COPY, and keys rarely repeat
        with conn.transaction():
            [(new, changed)] = conn.execute(upsert_sql(target, columns))
    except psycopg.errors.CardinalityViolation:
        [(new, changed)] = conn.execute(upsert_sql(target, columns, distinct=True))
    return new, changed + deleted
