"""Read the rows of a view from the warehouse: their contents, and rows by partition."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import date
from operator import itemgetter

import psycopg
import pyarrow as pa

from orchestration.archive import content
from orchestration.archive.content import Content
from orchestration.archive.views import PLACE, Place, View
from quotemill.readers.arrow import stream_rows
from quotemill.warehouse.postgres import Warehouse


def contents(
    conn: psycopg.Connection, warehouse: Warehouse, view: View, day: date, symbols: Sequence[str]
) -> dict[Place, Content]:
    """Contents of underlyings on a day, over the view's columns."""
    rows = f"({view.query(warehouse)}) as rows"
    query = content.sums_query(view.schema(conn, warehouse), rows, PLACE)
    _join_by_hash(conn)
    groups = conn.execute(query.encode(), {"day": day, "symbols": list(symbols)})
    return {(row[0], row[1], row[2]): content.content_from_sums(*row[3:]) for row in groups}


def count_lossy_rows(
    conn: psycopg.Connection, warehouse: Warehouse, view: View, day: date, symbols: Sequence[str]
) -> dict[str, int]:
    """Landed rows by underlying that a file of the view would lose or change.

    Empty for a view that dbt builds.
    """
    if view.landed is None:
        return {}
    names = view.landed.schema.names
    keys = " and ".join(f"r.{name} = v.{view.name_in_file(name)}" for name in view.landed.key)
    query = (
        f"select r.symbol, count(*) from {view.landed.qualified} as r "
        f"left join ({view.query(warehouse)}) as v on {keys} "
        f"where r.{view.day} = %(day)s and r.symbol = any(%(symbols)s) and (v.symbol is null or "
        f"({', '.join(f'r.{name}' for name in names)}) "
        f"is distinct from ({', '.join(f'v.{view.name_in_file(name)}' for name in names)})) "
        "group by 1"
    )
    _join_by_hash(conn)
    return dict(conn.execute(query.encode(), {"day": day, "symbols": list(symbols)}).fetchall())


def partitions(
    conn: psycopg.Connection, warehouse: Warehouse, view: View, day: date, symbols: Sequence[str]
) -> Iterator[tuple[Place, pa.Table]]:
    """Rows of a day by underlying, ordered by key. One partition is in memory at a time."""
    schema = view.schema(conn, warehouse)
    columns = ", ".join((*schema.names, *PLACE))
    order = ", ".join(("underlying", "exchange", *view.key))
    query = f"select {columns} from ({view.query(warehouse)}) as rows order by {order}"
    _join_by_hash(conn)
    batches = stream_rows(conn, query, {"day": day, "symbols": list(symbols)})
    pieces = (
        (place, rows.slice(start, end - start))
        for rows in (pa.Table.from_batches([batch]) for batch in batches)
        for place, start, end in content.runs(rows.select(PLACE))
    )
    for place, group in itertools.groupby(pieces, itemgetter(0)):
        table = pa.concat_tables(piece for _, piece in group)
        yield place, table.select(schema.names).cast(schema)


def _join_by_hash(conn: psycopg.Connection) -> None:
    """Switch nested loops off for the transaction.

    For a day newer than its statistics the planner expects one row and would join row by row.
    """
    conn.execute("set local enable_nestloop = off")
