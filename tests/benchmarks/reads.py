"""What a user reads, warm: plain table, hypertable, compressed hypertable, Parquet by DuckDB.

The rows are day bars of many codes, and of one month every fifth minute.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.tdx.tables import KLINE_DAILY, KLINE_MINUTE
from tests import timescale
from tests.benchmarks import databases
from tests.benchmarks.page import Aim, paragraph, table
from tests.benchmarks.paths import csv_bytes
from tests.benchmarks.rows import FIRST_DAY, bars, minutes, stored

TITLE = "What a user reads"
RUNS, WARM = 20, 2
AT_ONCE = 250  # codes generated at a time
MONTH = 22  # trading days
FIVE = 50  # codes whose month is read
COLUMNS = "open, high, low, close, volume, amount"
PLAIN, HYPER, COMPRESSED, DUCKDB = "plain", "hyper", "compressed", "duckdb"
NAMES = {
    PLAIN: "plain table",
    HYPER: "hypertable",
    COMPRESSED: "hypertable, compressed",
    DUCKDB: "Parquet by DuckDB",
}
KINDS = {"none": (PLAIN,), "apache": (PLAIN, HYPER), "timescale": (PLAIN, HYPER, COMPRESSED)}
READS = {
    "history": "one code's whole history",
    "section": "one day of all codes",
    "month": f"a month of 5-minute bars of {FIVE} codes",
}
TABLES = {
    "daily": (KLINE_DAILY, "trade_date", "1 year"),
    "five": (KLINE_MINUTE, "bar_end", "1 month"),
}


@dataclass
class Results:
    """Median milliseconds by store and read, rows that each read returned."""

    codes: int
    days: int
    server: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    milliseconds: dict[tuple[str, str], float] = field(default_factory=dict)


def compare_stores(
    server: str, folder: Path, codes: int, days: int, *, say: Callable[[str], None]
) -> Results:
    """Read the same rows from every store that this machine has."""
    results = Results(codes, days)
    with ExitStack() as stack:
        edition = "none"
        if timescale.TSL_URL:
            server, edition = timescale.TSL_URL, "timescale"
        elif timescale.UNPACKED.is_dir():
            server, edition = stack.enter_context(timescale.apache_server()), "apache"
        url = stack.enter_context(databases.database(server))
        conn = stack.enter_context(psycopg.connect(url, autocommit=True))
        databases.prepare_tables(url, folder, indexed=True)
        if edition != "none":
            conn.execute("create extension if not exists timescaledb")
        conn.execute("create schema bench")
        _fill(conn, folder, _daily(codes, days), name="daily", kinds=KINDS[edition])
        _fill(conn, folder, _five(codes), name="five", kinds=KINDS[edition])
        conn.execute("vacuum analyze")
        results.server = timescale.server_name(conn)
        say(f"{codes} codes × {days} days are stored")
        for kind in (*KINDS[edition], DUCKDB):
            run = _duckdb(folder) if kind == DUCKDB else _postgres(conn)
            for read, query in _queries(kind, folder, codes, days).items():
                results.milliseconds[kind, read] = _measure(run, query, read, results)
                say(f"{read}: {kind} {results.milliseconds[kind, read]:.1f} ms")
    return results


def _postgres(conn: psycopg.Connection) -> Callable[[str], int]:
    return lambda query: len(conn.execute(query.encode()).fetchall())


def _duckdb(folder: Path) -> Callable[[str], int]:
    import duckdb

    own: Any = duckdb.connect()
    own.execute("set timezone = 'UTC'")
    return lambda query: len(own.execute(query).fetchall())


def _measure(run: Callable[[str], int], query: str, read: str, results: Results) -> float:
    times = []
    for _ in range(RUNS + WARM):
        began = time.perf_counter()
        rows = run(query)
        times.append(time.perf_counter() - began)
    if results.rows.setdefault(read, rows) != rows:
        raise RuntimeError(f"{read}: {rows} rows, and {results.rows[read]} from another store")
    return 1000 * median(times[WARM:])


def _fill(
    conn: psycopg.Connection, folder: Path, batches: Iterator[pa.Table], *, name: str, kinds: Any
) -> None:
    """Write the same rows to a table of each kind and to a Parquet file."""
    like, column, chunk = TABLES[name]
    columns = ", ".join(stored(like.schema.empty_table(), like).schema.names)
    for kind in kinds:
        own = f"bench.{name}_{kind}"
        statements = [
            f"create table {own} as select {columns} from {like.qualified} limit 0",
            f"alter table {own} add primary key ({', '.join(like.key)})",
            f"create index on {own} (trade_date, code)",
        ]
        if kind != PLAIN:
            by = f"by_range('{column}', interval '{chunk}')"
            statements.append(
                f"select create_hypertable('{own}', {by}, create_default_indexes => false)"
            )
        if kind == COMPRESSED:
            statements.append(
                f"alter table {own} set (timescaledb.compress, timescaledb.compress_segmentby = "
                f"'code', timescaledb.compress_orderby = '{column} desc')"
            )
        for statement in statements:
            conn.execute(statement.encode())
    with pq.ParquetWriter(folder / f"{name}.parquet", like.schema) as writer:
        for batch in batches:
            writer.write_table(batch, row_group_size=100_000)
            target = f"copy bench.{name}_{PLAIN} from stdin (format csv)".encode()
            with conn.cursor().copy(target) as copy:
                copy.write(csv_bytes(stored(batch, like)))
    for kind in kinds[1:]:
        own = f"bench.{name}_{kind}"
        conn.execute(f"insert into {own} select * from bench.{name}_{PLAIN}".encode())
        if kind == COMPRESSED:
            conn.execute(f"select compress_chunk(c) from show_chunks('{own}') as c".encode())
        chunks = conn.execute(
            "select bool_and(is_compressed) from timescaledb_information.chunks "
            "where hypertable_schema = 'bench' and hypertable_name = %s",
            (f"{name}_{kind}",),
        ).fetchall()
        if chunks != [(kind == COMPRESSED,)]:
            raise RuntimeError(f"{own} is not {NAMES[kind]}: {chunks}")


def _daily(codes: int, days: int) -> Iterator[pa.Table]:
    for first in range(0, codes, AT_ONCE):
        yield _shifted(bars(min(AT_ONCE, codes - first), 0, days), first)


def _five(codes: int) -> Iterator[pa.Table]:
    for first in range(0, codes, AT_ONCE):
        rows = minutes(min(AT_ONCE, codes - first), 0, MONTH)
        ends = pc.minute(rows["bar_end"])
        fifth = pc.equal(pc.subtract(ends, pc.multiply(pc.divide(ends, 5), 5)), 0)
        yield _shifted(rows.filter(fifth), first)


def _shifted(rows: pa.Table, first: int) -> pa.Table:
    """The same rows with code numbers moved up by `first`."""
    numbers = pc.cast(pc.utf8_slice_codeunits(rows["code"], 2), pa.int64())
    moved = pc.binary_join_element_wise("sh", pc.cast(pc.add(numbers, first), pa.string()), "")
    place = rows.schema.get_field_index("code")
    return rows.set_column(place, rows.schema.field(place), moved).cast(rows.schema)


def _queries(kind: str, folder: Path, codes: int, days: int) -> dict[str, str]:
    daily, five = (
        f"read_parquet('{folder}/{name}.parquet')" if kind == DUCKDB else f"bench.{name}_{kind}"
        for name in TABLES
    )
    code = f"sh{600_000 + codes // 2}"
    some = ", ".join(f"'sh{600_000 + n * max(1, codes // FIVE)}'" for n in range(min(FIVE, codes)))
    day = f"date '{FIRST_DAY}' + {days // 2}"
    begin = f"timestamptz '{FIRST_DAY} 00:00+00'"
    return {
        "history": f"select trade_date, {COLUMNS} from {daily} where code = '{code}' "
        "order by trade_date",
        "section": f"select code, {COLUMNS} from {daily} where trade_date = {day} order by code",
        "month": f"select code, bar_end, {COLUMNS} from {five} where code in ({some}) and "
        f"bar_end >= {begin} and bar_end < {begin} + interval '31 days' order by code, bar_end",
    }


def section(results: Results) -> tuple[str, list[Aim]]:
    measured = results.milliseconds
    stores = [store for store in NAMES if (store, "history") in measured]
    lines = [
        [f"{name} ({results.rows[read]:,} rows)", *(f"{measured[s, read]:.1f}" for s in stores)]
        for read, name in READS.items()
    ]
    text = (
        f"{results.codes:,} codes × {results.days:,} days of day bars, {MONTH} days of 5-minute "
        f"bars; {results.server}. Milliseconds, warm, until the client has Python objects."
    )
    head = ["read", *(NAMES[store] for store in stores)]
    return f"{paragraph(text)}\n\n{table(head, lines)}", []
