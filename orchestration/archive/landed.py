"""The landed rows of a partition: convert them from a file; read, delete, insert them."""

from collections.abc import Sequence
from datetime import date

import psycopg
import pyarrow as pa

from loaders.landing.change_feed import insert_changes_sql
from orchestration.archive import content
from orchestration.archive.content import Content
from orchestration.archive.views import View


def rows_from_file(view: View, rows: pa.Table) -> pa.Table:
    """Rows of the landed table from the rows of a file.

    A column newer than the file is null, as in rows that were landed before it existed.
    """
    assert view.landed is not None
    fields = list(view.landed.stored)
    known = set(rows.column_names)
    return pa.table(
        [
            rows[name].cast(field.type) if name in known else pa.nulls(rows.num_rows, field.type)
            for field in fields
            for name in [view.name_in_file(field.name)]
        ],
        names=[field.name for field in fields],
    )


def contents(
    conn: psycopg.Connection, view: View, day: date, symbols: Sequence[str]
) -> dict[str, Content]:
    """Contents of the landed table by underlying."""
    table = view.landed
    assert table is not None
    query = (
        f"select symbol, {content.sql_sums(table.stored)} from {table.qualified} "
        f"where {view.day} = %s and symbol = any(%s) group by 1"
    )
    sums = conn.execute(query.encode(), (day, list(symbols)))
    return {row[0]: content.content_from_sums(*row[1:]) for row in sums}


def delete(conn: psycopg.Connection, view: View, day: date, symbols: Sequence[str]) -> int:
    """Delete the rows of underlyings on a day, note it in the change feed; return how many."""
    return _execute_noting(
        conn,
        view,
        f"delete from {_name(view)} as t where t.{view.day} = %s and t.symbol = any(%s)",
        (day, list(symbols)),
    )


def insert(conn: psycopg.Connection, view: View, staged: str) -> int:
    """Insert the rows of table `staged` that are missing, note it in the change feed."""
    table = view.landed
    assert table is not None
    columns = ", ".join(table.stored.names)
    return _execute_noting(
        conn,
        view,
        f"insert into {_name(view)} as t ({columns}) select {columns} from {staged} "
        f"on conflict ({', '.join(table.key)}) do nothing",
        (),
    )


def _execute_noting(
    conn: psycopg.Connection, view: View, statement: str, values: tuple[object, ...]
) -> int:
    feed = insert_changes_sql(_name(view), "written", key="key", day="day")
    [(count,)] = conn.execute(
        f"with written as ({statement} returning t.symbol as key, t.{view.day} as day), "
        f"noted as ({feed}) select count(*) from written".encode(),
        values,
    ).fetchall()
    return int(count)


def _name(view: View) -> str:
    assert view.landed is not None
    return view.landed.qualified
