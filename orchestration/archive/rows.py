"""Read the rows of a view from the warehouse: their contents, and rows by partition."""

import io
import itertools
from collections.abc import Iterator, Sequence
from datetime import date
from operator import itemgetter

import psycopg
import pyarrow as pa
from pyarrow import csv

from orchestration.archive import content
from orchestration.archive.content import Content
from orchestration.archive.views import PLACE, PLACE_FIELDS, Place, View
from quotemill.warehouse.postgres import Warehouse

_BATCH = 20_000  # rows converted to Arrow at a time


def contents(
    conn: psycopg.Connection, warehouse: Warehouse, view: View, day: date, symbols: Sequence[str]
) -> dict[Place, Content]:
    """Contents of underlyings on a day, over the view's columns."""
    sums = content.sql_sums(view.schema(conn, warehouse))
    query = (
        f"select date, underlying, exchange, {sums} "
        f"from ({view.query(warehouse)}) as rows group by 1, 2, 3"
    )
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
    whole = pa.schema([*schema, *PLACE_FIELDS])
    columns = ", ".join(
        f"array_to_string({field.name}, ',')" if pa.types.is_list(field.type) else field.name
        for field in whole
    )
    order = ", ".join(("underlying", "exchange", *view.key))
    query = (
        f"copy (select {columns} from ({view.query(warehouse)}) as rows order by {order}) "
        "to stdout (format csv)"
    )
    _join_by_hash(conn)
    with conn.cursor().copy(query.encode(), {"day": day, "symbols": list(symbols)}) as copy:
        pieces = (
            (place, batch.slice(start, end - start))
            for batch in _batches(copy, whole)
            for place, start, end in content.runs(batch.select(PLACE))
        )
        for place, group in itertools.groupby(pieces, itemgetter(0)):
            table = pa.concat_tables(piece for _, piece in group)
            yield place, table.select(schema.names).cast(schema)


def _join_by_hash(conn: psycopg.Connection) -> None:
    """Switch nested loops off for the transaction.

    For a day newer than its statistics the planner expects one row and would join row by row.
    """
    conn.execute("set local enable_nestloop = off")


def _batches(copy: psycopg.Copy, schema: pa.Schema) -> Iterator[pa.Table]:
    """Collect rows, which libpq returns one by one."""
    lines = map(bytes, copy)
    while batch := list(itertools.islice(lines, _BATCH)):
        yield _table(batch, schema)


def _table(lines: list[bytes], schema: pa.Schema) -> pa.Table:
    """Parse rows of CSV: null is empty, an empty text is quoted."""
    read = csv.read_csv(
        io.BytesIO(b"".join(lines)),
        csv.ReadOptions(column_names=schema.names, block_size=2**26),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types={
                field.name: pa.string() if pa.types.is_list(field.type) else field.type
                for field in schema
            },
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    columns = [
        _lists(read[field.name]) if pa.types.is_list(field.type) else read[field.name]
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _lists(column: pa.ChunkedArray) -> pa.Array:
    values = [
        None if text is None else text.split(",") if text else [] for text in column.to_pylist()
    ]
    return pa.array(values, pa.list_(pa.string()))
