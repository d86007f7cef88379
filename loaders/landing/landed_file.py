"""One file of rows into its landed table.

how it goes; secondary indexes out of the way, where it fills the table; then in one transaction,
where none of its codes is there yet: COPY straight into the table (loaders/landing/first_copy.py); else
temp table  <-  binary COPY, 50,000 rows at a time; by text where that refuses the file
DELETE of what a unit that is replaced whole no longer has (a day of ticks)
INSERT .. SELECT .. ON CONFLICT (key) DO UPDATE .. WHERE the row differs and is not worse
what these two wrote, by key and date, into the change feed
rows that the table refuses into the table of refused rows; those it refused before, withdrawn
one row in ops.landed_files
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

from loaders.landing import compressed, first_copy, indexes, lineage, refused_rows
from loaders.landing.upsert import Feed, FileRows, Staged, copy_to_stage, replace_units, upsert_sql
from loaders.warehouse.tables import ROUTE_NO, SOURCE_ROUTE


@dataclass(frozen=True)
class Target:
    """Where a file lands, and how; what its resource said of the table.

    `refusals` is the dataset under whose name refused rows are kept, None where a refused row ends
    the load: of a table that has no place for them.
    """

    schema: str
    table: str
    key: tuple[str, ...]
    unit: tuple[str, ...] = ()
    entity: str | None = None
    day: str | None = None
    indexes: tuple[str, ...] = ()
    refusals: str | None = None

    @property
    def feed(self) -> Feed:
        return Feed(f"{self.schema}.{self.table}", self.entity, self.day)


def land_file(
    conn: psycopg.Connection, path: Path, target: Target, q: Any, file_id: str, lane: str
) -> None:
    """Land a file. `q` quotes a name; `file_id` is its package, a slash and its own name.

    No transaction is open before; that of the rows is left open for the caller to end. Raises what
    PostgreSQL says where no single row is to blame.
    """
    name = f"{q(target.schema)}.{q(target.table)}"
    load_id = file_id.partition("/")[0]
    with pq.ParquetFile(path) as file:
        # a short transaction: who reads the table while the rows land must not wait for their end
        with conn.transaction():
            types: dict[str, str] = dict(
                conn.execute(
                    "select attname, format_type(atttypid, atttypmod) from pg_attribute "
                    "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                    (name,),
                ).fetchall()
            )
            chunks = compressed.find(
                conn, target.schema, target.table, types, target.key, target.feed, q
            )
            encoder = None if chunks else first_copy.encoder(conn, file, target, types, q)
            indexes.make_way(
                conn,
                target.schema,
                target.table,
                target.indexes,
                file.metadata.num_rows,
                lane,
                1 if encoder else indexes.FEWEST_INDEXES,
            )
        routes = lineage.routes(conn, file) if ROUTE_NO in types else None
        # the transaction of the rows begins; savepoints follow
        file_no = lineage.file_no(conn, file_id)
        numbers = None
        if routes is not None:
            numbers = lineage.Numbers(routes, file_no, SOURCE_ROUTE in types)
        if chunks:
            chunks.open_any(conn)
        whole = FileRows(file, numbers)
        copied = first_copy.copy(conn, whole, target, encoder, q) if encoder else None
        staged = copy_to_stage(conn, whole, q) if copied is None else Staged(copied, [])
    if staged.error and staged.refused and target.refusals is None:
        raise staged.error

    def write() -> tuple[int, int]:
        if copied is not None:
            return copied, 0
        gone = 0
        if target.unit:
            gone = replace_units(conn, q, name, types, target.key, target.unit, target.feed, chunks)
        if chunks and not chunks.keep_differing(conn, staged.columns):
            return 0, gone
        statement = (q, name, staged.columns, types, target.key, target.feed)
        try:
            # without DISTINCT ON: its sort costs as much as the COPY, and keys rarely repeat
            with conn.transaction():
                [(new, changed)] = conn.execute(upsert_sql(*statement))
        except psycopg.errors.CardinalityViolation:
            [(new, changed)] = conn.execute(upsert_sql(*statement, distinct=True))
        return new, changed + gone

    rows, dropped = staged.refused, 0
    try:
        if rows:
            dropped += refused_rows.drop_units(conn, path, rows, target.unit, types, q)
        with conn.transaction():
            new, changed = write()
    except refused_rows.OF_A_ROW:
        if target.refusals is None:
            raise
        statement = upsert_sql(
            q, name, staged.columns, types, target.key, target.feed, distinct=True
        )
        rows |= refused_rows.find(conn, staged, statement, types, q)
        dropped += refused_rows.drop_units(conn, path, rows, target.unit, types, q)
        new, changed = write()
    if target.refusals is not None:
        of = (target.schema, target.refusals, target.key, target.unit)
        refused_rows.withdraw(conn, path, *of, load_id)
    if rows:
        refused_rows.keep(
            conn, path, rows, target.schema, str(target.refusals), target.key, load_id
        )
    if target.key:
        # a reader takes for unchanged what is neither new nor changed
        read = staged.read - len(rows) - dropped
        conn.execute(
            "insert into ops.landed_files (file_no, file_id, load_id, schema_name, table_name, "
            "rows_read, rows_new, rows_changed) overriding system value "
            "values (%s, %s, %s, %s, %s, %s, %s, %s) "
            "on conflict (file_id) do nothing",  # landed before: the first counts stand
            (file_no, file_id, load_id, target.schema, target.table, read, new, changed),
        )
