"""The landed rows of a partition: convert them from a file; read, delete, insert them."""

from collections.abc import Sequence
from datetime import date

import psycopg
import pyarrow as pa

from loaders.landing.change_feed import insert_changes_sql
from loaders.warehouse.tables import LandedTable
from orchestration.archive import content
from orchestration.archive.content import Content
from orchestration.archive.views import View


def rows_from_file(view: View, table: LandedTable, rows: pa.Table) -> pa.Table:
    """Rows of the landed table from the rows of a file.

    A column newer than the file is null, as in rows that were landed before it existed.
    """
    columns = {}
    for field in table.stored:
        name = view.name_in_file(field.name)
        is_older = name not in rows.column_names
        columns[field.name] = (
            pa.nulls(rows.num_rows, field.type) if is_older else rows[name].cast(field.type)
        )
    return pa.table(columns)


def contents(
    conn: psycopg.Connection, table: LandedTable, day: date, symbols: Sequence[str]
) -> dict[str, Content]:
    """Contents of the landed table by underlying."""
    rows = f"{table.qualified} where {table.day} = %s and symbol = any(%s)"
    query = content.sums_query(table.stored, rows, ["symbol"])
    sums = conn.execute(query.encode(), (day, list(symbols)))
    return {row[0]: content.content_from_sums(*row[1:]) for row in sums}


def delete(conn: psycopg.Connection, table: LandedTable, day: date, symbols: Sequence[str]) -> int:
    """Delete the rows of underlyings on a day; report them in the change feed and count them."""
    statement = f"delete from {table.qualified} as t where t.{table.day} = %s and symbol = any(%s)"
    return _execute(conn, table, statement, (day, list(symbols)))


def insert(conn: psycopg.Connection, table: LandedTable, staged: str) -> int:
    """Insert the rows of `staged` that are missing; report them in the feed and count them."""
    columns = ", ".join(table.stored.names)
    statement = (
        f"insert into {table.qualified} as t ({columns}) select {columns} from {staged} "
        f"on conflict ({', '.join(table.key)}) do nothing"
    )
    return _execute(conn, table, statement, ())


def _execute(
    conn: psycopg.Connection, table: LandedTable, statement: str, values: tuple[object, ...]
) -> int:
    feed = insert_changes_sql(table.qualified, "written", key="key", day="day")
    [(count,)] = conn.execute(
        f"with written as ({statement} returning t.symbol as key, t.{table.day} as day), "
        f"noted as ({feed}) select count(*) from written".encode(),
        values,
    ).fetchall()
    return int(count)
