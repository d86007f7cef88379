"""Bytes per bar: of the tables as a load and a build leave them, and of the same rows compressed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests import timescale
from tests.benchmarks import databases
from tests.benchmarks.report import Aim, table
from tests.benchmarks.whole import DAY_BARS, pipeline

MINUTE_DAYS, TICK_DAYS = 40, 2
SAVED = 0.9  # of the bytes, by compression
# table, its column of time, a chunk's span, what its rows are ordered by within a code
TABLES = (
    ("raw_tdx.kline_daily", "trade_date", "1 year", "trade_date desc"),
    ("market.kline_daily_qfq", "trade_date", "1 year", "trade_date desc"),
    ("raw_tdx.kline_minute", "bar_end", "1 month", "bar_end desc"),
    ("market.kline_5m", "bar_end", "3 months", "bar_end desc"),
    ("raw_tdx.tick_trade", "trade_date", "1 month", "trade_date desc, ordinal desc"),
)


@dataclass(frozen=True)
class Size:
    """Bytes of a table with its indexes, of its rows alone, and of a compressed hypertable of them, if
    one was made, and by which server."""

    name: str
    rows: int
    with_indexes: int
    heap: int
    compressed: int | None
    by: str = ""

    @property
    def saved(self) -> float | None:
        return None if self.compressed is None else 1 - self.compressed / self.with_indexes


def sizes(
    server: str, folder: Path, codes: int, days: int, say: Callable[[str], None]
) -> list[Size]:
    """Of a synthetic market, loaded and built."""
    found = []
    with pipeline(server, folder, codes, days) as made:
        settings = {"minute_days": MINUTE_DAYS, "tick_days": TICK_DAYS}
        made.load((*DAY_BARS, "minute_1m", "tick_trade"), settings)
        made.build()
        made.vacuum()
        for name, column, chunk, order in TABLES:
            with psycopg.connect(made.dsn) as conn:
                [(rows,)] = conn.execute(f"select count(*) from {name}".encode())
                [(whole, heap)] = conn.execute(
                    "select sum(pg_total_relation_size(relid))::bigint, "
                    "sum(pg_table_size(relid))::bigint from (select %(name)s::regclass as relid "
                    "union select relid from pg_partition_tree(%(name)s)) as parts",
                    {"name": name},
                )
                compressed = (
                    _compressed(conn, name, column, chunk, order)
                    if timescale.TSL_URL
                    else (None, "")
                )
            found.append(Size(name, rows, whole, heap, *compressed))
            say(f"{name}: {rows:,} rows, {whole / rows:.0f} bytes each")
    return found


def _compressed(conn: psycopg.Connection, name: str, column: str, chunk: str, order: str) -> int:
    """Bytes of the same rows in a hypertable of a server with the community edition, all of it
    compressed by code."""
    columns = conn.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute as a "
        "where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum",
        (name,),
    ).fetchall()
    keys = conn.execute(
        "select replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') from pg_index "
        "where indrelid = %s::regclass",
        (name,),
    ).fetchall()
    [schema, _] = name.split(".")
    names = sql.SQL(", ").join(sql.Identifier(column) for column, _ in columns).as_string(conn)
    with (
        databases.database(str(timescale.TSL_URL)) as url,
        psycopg.connect(url, autocommit=True) as other,
    ):
        other.execute("create extension if not exists timescaledb")
        other.execute(f"create schema {schema}".encode())
        typed = ", ".join(f"{sql.Identifier(c).as_string(conn)} {kind}" for c, kind in columns)
        other.execute(f"create table {name} ({typed})".encode())
        for (definition,) in keys:
            other.execute(definition.encode())
        other.execute(
            f"select create_hypertable('{name}', by_range('{column}', interval '{chunk}'), "
            "create_default_indexes => false)".encode()
        )
        other.execute(
            f"alter table {name} set (timescaledb.compress, timescaledb.compress_segmentby = 'code', "
            f"timescaledb.compress_orderby = '{order}')".encode()
        )
        with (
            conn.cursor().copy(f"copy (select {names} from {name}) to stdout".encode()) as source,
            other.cursor().copy(f"copy {name} ({names}) from stdin".encode()) as target,
        ):
            for block in source:
                target.write(block)
        other.execute(f"select compress_chunk(c) from show_chunks('{name}') as c".encode())
        [(size,)] = other.execute("select hypertable_size(%s)", (name,))
        return int(size), timescale.told(other)


def section(found: list[Size], codes: int, days: int) -> str:
    lines = [
        [
            f"`{size.name}`",
            f"{size.rows:,}",
            f"{size.heap / size.rows:.0f}",
            f"{size.with_indexes / size.rows:.0f}",
            "" if size.compressed is None else f"{size.compressed / size.rows:.1f}",
            "" if size.saved is None else f"{size.saved:.1%}",
        ]
        for size in found
    ]
    head = ("table", "rows", "bytes a row", "with indexes", "compressed, with indexes", "saved")
    absent = (
        "" if timescale.TSL_URL else "\n\nNot compressed: QUOTEMILL_TEST_TSL_URL names no server."
    )
    return (
        f"{codes} codes of a synthetic market: {days:,} days, {MINUTE_DAYS} of them with minutes, "
        f"{TICK_DAYS} with ticks; loaded and built on plain PostgreSQL. Compressed are the same rows on "
        f"{found[0].by or 'TimescaleDB'}, by code, the newest first, in chunks of a year of days, a month of "
        f"minutes and ticks, three of 5-minute bars.\n\n{table(head, lines)}{absent}"
    )


def aims(found: list[Size]) -> list[Aim]:
    return [
        (
            f"space of {size.name}, compressed",
            f"≥ {SAVED:.0%} saved",
            f"{size.saved:.1%}",
            size.saved >= SAVED,
        )
        for size in found
        if size.saved is not None
    ]
