"""What a user reads, warm: from a plain table, a hypertable, a compressed one, and Parquet by DuckDB.

The rows are those of `rows`: day bars of many codes, and of one month of minutes every fifth.
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
from loaders.warehouse.tables import LandedTable
from tests import timescale
from tests.benchmarks import databases
from tests.benchmarks.paths import csv_bytes
from tests.benchmarks.report import table
from tests.benchmarks.rows import FIRST_DAY, bars, minutes, stored

RUNS = 20
AT_ONCE = 250  # codes made at a time
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
READS = {
    "history": "one code's whole history",
    "section": "one day of all codes",
    "month": f"a month of 5-minute bars of {FIVE} codes",
}


@dataclass
class Results:
    """Median milliseconds of each read by store; `rows` that each read returned; what is absent, and why."""

    codes: int
    days: int
    milliseconds: dict[str, dict[str, float]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    server: str = ""
    absent: list[str] = field(default_factory=list)


def side_by_side(
    server: str, folder: Path, codes: int, days: int, say: Callable[[str], None]
) -> Results:
    results = Results(codes, days)
    with ExitStack() as stack:
        edition = "none"
        if timescale.TSL_URL:
            server, edition = timescale.TSL_URL, "tsl"
        elif timescale.UNPACKED.is_dir():
            server, edition = stack.enter_context(timescale.apache_server()), "apache"
            results.absent.append("compressed: QUOTEMILL_TEST_TSL_URL names no server")
        else:
            results.absent.append("hypertables: .ci/timescale was not run")
        url = stack.enter_context(databases.database(server))
        conn = stack.enter_context(psycopg.connect(url, autocommit=True))
        files = _fill(conn, url, folder, codes, days, edition)
        say(f"{codes} codes x {days} days are there")
        stores: dict[str, Callable[[str], int]] = {}
        for kind in _kinds(edition):
            stores[kind] = _postgres(conn, kind, codes, days)
        stores[DUCKDB] = _duckdb(files, codes, days)
        for read in READS:
            for store, run in stores.items():
                results.milliseconds.setdefault(store, {})[read] = _median(run, read, results)
                say(f"{read}: {store} {results.milliseconds[store][read]:.1f} ms")
        results.server = timescale.told(conn)
    return results


def _kinds(edition: str) -> tuple[str, ...]:
    return {"none": (PLAIN,), "apache": (PLAIN, HYPER), "tsl": (PLAIN, HYPER, COMPRESSED)}[edition]


def _median(run: Callable[[str], int], read: str, results: Results) -> float:
    times = []
    for number in range(RUNS + 2):  # the first two warm caches and plans
        began = time.perf_counter()
        rows = run(read)
        if number >= 2:
            times.append(time.perf_counter() - began)
    if results.rows.setdefault(read, rows) != rows:
        raise RuntimeError(f"{read}: {rows} rows, and {results.rows[read]} elsewhere")
    return 1000 * median(times)


def _fill(
    conn: psycopg.Connection, url: str, folder: Path, codes: int, days: int, edition: str
) -> dict[str, Path]:
    """Each kind of table, and Parquet files beside them, with the same rows."""
    databases.prepared(url, folder, "real")
    if edition != "none":
        conn.execute("create extension if not exists timescaledb")
    conn.execute("create schema bench")
    files = {}
    made = (("daily", KLINE_DAILY, _days(codes, days), "trade_date", "1 year"),
            ("five", KLINE_MINUTE, _fives(codes), "bar_end", "1 month"))  # fmt: skip
    for name, like, batches, column, chunk in made:
        files[name] = folder / f"{name}.parquet"
        _tables(conn, name, like, column, chunk, edition)
        with pq.ParquetWriter(files[name], like.schema) as writer:
            for batch in batches:
                writer.write_table(batch, row_group_size=100_000)
                with conn.cursor().copy(
                    f"copy bench.{name}_{PLAIN} from stdin (format csv)".encode()
                ) as copy:
                    copy.write(csv_bytes(stored(batch, like)))
        for kind in _kinds(edition)[1:]:
            conn.execute(
                f"insert into bench.{name}_{kind} select * from bench.{name}_{PLAIN}".encode()
            )
        if edition == "tsl":
            conn.execute(
                f"select compress_chunk(c) from show_chunks('bench.{name}_{COMPRESSED}') as c".encode()
            )
    conn.execute("vacuum analyze")
    _refuse_others(conn, edition)
    return files


def _refuse_others(conn: psycopg.Connection, edition: str) -> None:
    """What is called a hypertable or compressed must be so, in every chunk, or its figure means nothing."""
    if edition == "none":
        return
    found = conn.execute(
        "select hypertable_name, bool_and(is_compressed) from timescaledb_information.chunks "
        "where hypertable_schema = 'bench' group by 1"
    ).fetchall()
    wanted = {
        f"{name}_{k}": k == COMPRESSED for name in ("daily", "five") for k in _kinds(edition)[1:]
    }
    if dict(found) != wanted:
        raise RuntimeError(f"hypertables, and whether compressed: {dict(found)}, wanted {wanted}")


def _tables(
    conn: psycopg.Connection, name: str, like: LandedTable, column: str, chunk: str, edition: str
) -> None:
    columns = ", ".join(stored(like.schema.empty_table(), like).schema.names)
    for kind in _kinds(edition):
        own = f"bench.{name}_{kind}"
        key = ", ".join(like.key)
        conn.execute(
            f"create table {own} as select {columns} from {like.qualified} limit 0".encode()
        )
        conn.execute(f"alter table {own} add primary key ({key})".encode())
        conn.execute(f"create index on {own} (trade_date, code)".encode())
        if kind != PLAIN:
            conn.execute(
                f"select create_hypertable('{own}', by_range('{column}', interval '{chunk}'), "
                "create_default_indexes => false)".encode()
            )
        if kind == COMPRESSED:
            conn.execute(
                f"alter table {own} set (timescaledb.compress, timescaledb.compress_segmentby = "
                f"'code', timescaledb.compress_orderby = '{column} desc')".encode()
            )


def _days(codes: int, days: int) -> Iterator[pa.Table]:
    for first, count in _parts(codes):
        yield _shifted(bars(count, 0, days), first)


def _fives(codes: int) -> Iterator[pa.Table]:
    for first, count in _parts(codes):
        rows = minutes(count, 0, MONTH)
        ends = pc.minute(rows["bar_end"])  # type: ignore[attr-defined]
        fifth = pc.equal(pc.subtract(ends, pc.multiply(pc.divide(ends, 5), 5)), 0)  # type: ignore[attr-defined]
        yield _shifted(rows.filter(fifth), first)


def _parts(codes: int) -> Iterator[tuple[int, int]]:
    for first in range(0, codes, AT_ONCE):
        yield first, min(AT_ONCE, codes - first)


def _shifted(rows: pa.Table, first: int) -> pa.Table:
    """The same for the codes from `first` on."""
    numbers = pc.cast(pc.utf8_slice_codeunits(rows["code"], 2), pa.int64())  # type: ignore[attr-defined]
    moved = pc.binary_join_element_wise("sh", pc.cast(pc.add(numbers, first), pa.string()), "")  # type: ignore[attr-defined]
    place = rows.schema.get_field_index("code")
    return rows.set_column(place, rows.schema.field(place), moved).cast(rows.schema)


def _statements(codes: int, days: int, daily: str, five: str) -> dict[str, str]:
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


def _postgres(conn: psycopg.Connection, kind: str, codes: int, days: int) -> Callable[[str], int]:
    statements = _statements(codes, days, f"bench.daily_{kind}", f"bench.five_{kind}")
    return lambda read: len(conn.execute(statements[read].encode()).fetchall())


def _duckdb(files: dict[str, Path], codes: int, days: int) -> Callable[[str], int]:
    import duckdb

    own: Any = duckdb.connect()
    own.execute("set timezone = 'UTC'")
    places = (f"read_parquet('{files[name]}')" for name in ("daily", "five"))
    statements = _statements(codes, days, *places)
    return lambda read: len(own.execute(statements[read]).fetchall())


def section(results: Results) -> str:
    lines = [
        [
            f"{told} ({results.rows[read]:,} rows)",
            *(
                f"{results.milliseconds[store][read]:.1f}" if store in results.milliseconds else ""
                for store in NAMES
            ),
        ]
        for read, told in READS.items()
    ]
    absent = [f"Not measured: {why}." for why in results.absent]
    return "\n".join(
        [
            f"{results.codes:,} codes × {results.days:,} days of day bars, {MONTH} days of 5-minute bars; "
            f"{results.server}, {RUNS} runs, warm, the median, until the client holds the rows as Python "
            "objects. Chunks are a year of days and a month of minutes; the Parquet is one file in key "
            "order for each. Milliseconds.",
            "",
            table(("read", *NAMES.values()), lines),
            *(["", *absent] if absent else []),
        ]
    )
