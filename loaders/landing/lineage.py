"""Lineage as numbers, in the tables with most rows: of the route, and of the file of a row.

Instead of a text of twenty bytes for each, a number of two and one of four. ops.routes has the
names of routes; ops.landed_files has files with their load ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.warehouse.tables import FILE_NO, LOAD_ID, ROUTE_NO, SOURCE_ROUTE

_TEXTS = (SOURCE_ROUTE, LOAD_ID)


@dataclass(frozen=True)
class Numbers:
    """Numbers of a file's rows instead of texts."""

    routes: Mapping[str, int]
    file_no: int

    def schema(self, plain: pa.Schema) -> pa.Schema:
        """The schema of the rows which `replace_texts` makes of rows of the schema `plain`."""
        return self.replace_texts(pa.RecordBatch.from_pylist([], plain)).schema

    def replace_texts(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with numbers, which come last."""
        names = pa.array(self.routes.keys(), pa.string())
        numbers = pa.array(self.routes.values(), pa.int16())
        route = numbers.take(pc.index_in(rows.column(SOURCE_ROUTE), names))
        rows = rows.drop_columns([name for name in _TEXTS if name in rows.schema.names])
        rows = rows.append_column(ROUTE_NO, route)
        file = pa.repeat(pa.scalar(self.file_no, pa.int32()), len(rows))
        return rows.append_column(FILE_NO, file)


def stored_schema(plain: pa.Schema, types: Mapping[str, str]) -> pa.Schema:
    """Rows of the schema `plain` as a table with columns of these types takes them."""
    return Numbers({}, 0).schema(plain) if ROUTE_NO in types else plain


def number_routes(conn: psycopg.Connection, file: pq.ParquetFile) -> dict[str, int]:
    """The number of each route in a file; a route without one gets one.

    In an own transaction: two loads that meet a new route at once agree on its number, and neither
    waits for the rows of the other.
    """
    names = pc.unique(file.read([SOURCE_ROUTE]).column(0).unify_dictionaries()).to_pylist()
    known = "select route, route_no from ops.routes where route = any(%s)"
    with conn.transaction():
        numbers: dict[str, int] = dict(conn.execute(known, (names,)).fetchall())
        lacking = sorted(set(names) - numbers.keys())
        if lacking:
            conn.execute(
                "insert into ops.routes (route) select unnest(%s::text[]) on conflict do nothing",
                (lacking,),
            )
            numbers = dict(conn.execute(known, (names,)).fetchall())
    return numbers


def number_file(conn: psycopg.Connection, file_id: str) -> int:
    """The number of a file in ops.landed_files; the next one where the file is not there yet."""
    [(number,)] = conn.execute(
        "select coalesce((select file_no from ops.landed_files where file_id = %s), "
        "nextval(pg_get_serial_sequence('ops.landed_files', 'file_no')))",
        (file_id,),
    )
    return int(number)
