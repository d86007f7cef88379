"""Steps of the whole warehouse: commands with nothing to do, reads, sizes, dump and restore."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

import quotemill
from tests.benchmarks.builds import Home
from tests.benchmarks.year import market
from tests.benchmarks.year.market import FIRST, MORE
from tests.benchmarks.year.place import Figure, Year, run, run_tool, seconds_of
from tests.benchmarks.year.shares import CORRECTED, day_at
from tests.client_folder import codes_of

TIMES = 3
NEWEST = FIRST + MORE + 2
SMALL_CODES = 2
GATHER = """
import os, sys, time
from pathlib import Path
from datetime import UTC, datetime
from orchestration.console.context import Console
from orchestration.console.pages import overview
overview.gather(Console(Path(), os.environ, lambda: datetime.now(UTC), sys.argv[1]))
"""
TABLES = {
    "a minute bar": ("raw_tdx.kline_minute", "raw_tdx.kline_minute"),
    "a minute's share of the bars of 5, 15 and 30": ("market.kline_", "raw_tdx.kline_minute"),
    "a day bar": ("raw_tdx.kline_daily", "raw_tdx.kline_daily"),
    "an option quote of a slot": ("raw_ib.chain_snapshot", "raw_ib.chain_snapshot"),
    "a slot quote's share of what is built": (
        "(raw_ib.chain_close|options.chain_daily_clean|options.forwards)",
        "raw_ib.chain_snapshot",
    ),
    "a trade of a share": ("raw_tdx.tick_trade", "raw_tdx.tick_trade"),
}


def run_idle(year: Year) -> list[Figure]:
    """Commands with nothing to do, in turns with the same of a warehouse with two codes."""
    day = day_at(NEWEST)
    market.write_days(year.small.folder / "client", SMALL_CODES, before=0, count=FIRST)
    at = f"--as-of={day_at(FIRST)}T20:00"
    run(year.small, "quotemill", "run", "tdx", at, good=(0, 5))
    as_of = {year.home.folder: f"{day}T20:00", year.small.folder: f"{day_at(FIRST)}T20:00"}
    commands: Mapping[str, Callable[[str], tuple[str, ...]]] = {
        "an empty night": lambda at: ("quotemill", "run", "tdx", f"--as-of={at}"),
        "`status`": lambda at: ("quotemill", "status", f"--as-of={at}"),
        "`findings`": lambda at: ("quotemill", "findings", f"--as-of={at}"),
        "`doctor`": lambda at: ("quotemill", "doctor", f"--as-of={at}"),
        "`verify`": lambda at: ("loaders", "verify", "tdx", f"--as-of={at}"),
        "`report`": lambda at: ("quotemill", "report", f"--as-of={at}"),
        "`warehouse status`": lambda _: ("quotemill", "warehouse", "status"),
        "the console's first page": lambda at: ("python", "-c", GATHER, f"{at}+08:00"),
    }
    figures = []
    for name, command in commands.items():
        seconds: dict[Path, list[float]] = {year.home.folder: [], year.small.folder: []}
        for _ in range(TIMES + 1):
            for home in (year.home, year.small):
                call = command(as_of[home.folder])
                seconds[home.folder].append(run(home, *call, good=(0, 1, 4, 5, 6))[0])
        own, limit = (median(values[1:]) for values in seconds.values())
        figures.append(Figure(name, own, "s", limit, "with two codes", "≤ 1.5"))
    return figures


def read_back(year: Year) -> list[Figure]:
    """What a user reads, beside a COPY of the same rows to the client."""
    day = day_at(FIRST + MORE)
    minute = f"{day} 10:30"
    codes = codes_of(year.codes)[:50]
    month = day - timedelta(30)
    listed = ", ".join(f"'{code}'" for code in codes)
    bars = "select code, bar_end, open, high, low, close, volume_shares, amount_cny from market."
    reads: dict[str, tuple[Callable[[Any], Any], str]] = {
        "a code's minutes of all days": (
            lambda db: db.klines(CORRECTED, freq="1m"),
            f"{bars}kline_minute_raw where code = '{CORRECTED}' order by bar_end",
        ),
        "one minute of all codes": (
            lambda db: db.klines(start=minute, end=minute, freq="1m"),
            f"{bars}kline_minute_raw where bar_end = '{minute}+08' order by code",
        ),
        "a month of 5-minute bars of 50 codes": (
            lambda db: db.klines(codes, start=month, end=day, freq="5m"),
            f"{bars}kline_5m where code in ({listed}) and trade_date between '{month}' and '{day}' "
            "order by code, bar_end",
        ),
    }
    if "chains" in year.figures:
        [(newest,)] = year.rows("select max(trade_date) from raw_ib.chain_snapshot")
        reads["a day's chain of an underlying"] = (
            lambda db: db.option_chain("S000", newest, slot="10:00"),
            "select * from options.chain_intraday where symbol = 'S000' "
            f"and trade_date = '{newest}' and slot_label = '10:00'",
        )
    with quotemill.open(year.home.dsn) as db:
        return [_compare_read(year, name, db, *how) for name, how in reads.items()]


def _compare_read(year: Year, name: str, db: Any, read: Callable[[Any], Any], query: str) -> Figure:
    own, limit, rows = [], [], 0
    with psycopg.connect(year.home.dsn) as conn:
        for _ in range(2 * TIMES + 1):
            own.append(seconds_of(lambda: read(db).to_arrow()))
            limit.append(seconds_of(lambda: _copy_out(conn, query)))
        rows = len(conn.execute(query.encode()).fetchall())
    name = f"{name}: {rows:,} rows"
    return Figure(name, median(own[1:]), "s", median(limit[1:]), "COPY to the client", "≤ 1.3")


def _copy_out(conn: psycopg.Connection, query: str) -> int:
    with conn.cursor().copy(f"copy ({query}) to stdout".encode()) as copy:
        return sum(len(part) for part in copy)


def measure_sizes(year: Year) -> list[Figure]:
    """Bytes of a row with its indexes."""
    figures = []
    for name, (tables, counted) in TABLES.items():
        [(size,)] = year.rows(
            # a hypertable's rows are in its chunks
            "select sum(pg_total_relation_size(c.oid))::bigint from pg_class as c "
            "left join pg_inherits as i on c.oid = i.inhrelid "
            "where relkind = 'r' and coalesce(i.inhparent, c.oid)::regclass::text ~ %s",
            f"^{tables}([0-9]+m)?$",
        )
        [(rows,)] = year.rows(f"select count(*) from {counted}")
        if size and rows:
            figures.append(Figure(f"{name}, of {rows:,}", size / rows, "bytes"))
    return figures


def dump_and_restore(year: Year) -> list[Figure]:
    """A dump and its restore into an empty database, beside pg_dump and pg_restore."""
    ours, theirs = year.home.folder / "ours.dump", year.home.folder / "theirs.dump"
    for file in (ours, theirs):
        file.unlink(missing_ok=True)
    seconds, _ = run(year.home, "quotemill", "warehouse", "dump", str(ours))
    limit = run_tool(year.home, "pg_dump", "-Fc", "-f", str(theirs), "-d", year.home.dsn)
    figures = [Figure("dump", seconds, "s", limit, "pg_dump -Fc", "≤ 1.2")]
    for name in ("restored", "restored_plainly"):
        year.rows(f"drop database if exists {name}")
        year.rows(f"create database {name}")
    other = {name: _with_database(year.home.dsn, name) for name in ("restored", "restored_plainly")}
    home = Home(year.home.folder, other["restored"], {"QUOTEMILL_WAREHOUSE_URL": other["restored"]})
    seconds, _ = run(home, "quotemill", "warehouse", "restore", str(ours), "--yes")
    limit = run_tool(year.home, "pg_restore", "-1", "-d", other["restored_plainly"], str(theirs))
    figures.append(Figure("restore", seconds, "s", limit, "pg_restore -1", "≤ 1.2"))
    for name in other:
        year.rows(f"drop database {name} with (force)")
    for file in (ours, theirs):
        file.unlink()
    return figures


def _with_database(dsn: str, name: str) -> str:
    return dsn.replace(f"/{conninfo_to_dict(dsn)['dbname']}?", f"/{name}?")
