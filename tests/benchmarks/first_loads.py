"""The first load of a client's folder beside its limit, one right after the other, in turns.

The limit is what no program can leave out that fills a table of PostgreSQL: to read the files, COPY
of the same rows in binary, from memory, into the table without its key, then the key and the index
by date.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psycopg
from psycopg import sql

from loaders.tdx.tables import KLINE_DAILY
from loaders.warehouse.tables import LandedTable
from tests.benchmarks.builds import Home
from tests.benchmarks.nights import REAL, new_home
from tests.benchmarks.page import Aim, at_most, paragraph, table
from tests.client_folder import write_folder
from tests.real_market import write_real_market

TITLE = "A first load beside its limit"
AIM = 1.8
READ, COPY, KEY, DATES = "files read once", "COPY", "the key", "the index by date"
PARTS = (READ, COPY, KEY, DATES)
BLOCK = 2**20  # bytes of COPY at once
COPIED = sql.Identifier("public", "copied")


class Pair(NamedTuple):
    """Seconds of a load, and of each part of the limit right after it."""

    load: float
    limit: Mapping[str, float]

    @property
    def ratio(self) -> float:
        return self.load / sum(self.limit.values())


class Measured(NamedTuple):
    bars: int
    pairs: tuple[Pair, ...]


def compare_markets(
    scratch: Path,
    stocks: Mapping[str, int],
    *,
    days: int,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, Measured]:
    """Load the folder of each market so often into an empty database; made-up ones have `days`."""
    results = {}
    for market, count in stocks.items():
        pairs, bars = list[Pair](), 0
        for number in range(rounds):
            with new_home(scratch) as home:
                client = home.folder / "client"
                if market == REAL:
                    write_real_market(client, count)
                else:
                    write_folder(client, count, days)
                os.sync()  # the writes before are not this load's cost
                load = home.run("loaders", "run", "tdx", "--dataset", KLINE_DAILY.name)
                limit, bars = measure_limit(home, client)
            pairs.append(Pair(load, limit))
            say(f"{market}, pair {number + 1}: {pairs[-1].ratio:.2f} × its limit")
        results[market] = Measured(bars, tuple(pairs))
    return results


def measure_limit(
    home: Home,
    client: Path,
    table: LandedTable = KLINE_DAILY,
    files: str = "lday/*.day",
) -> tuple[dict[str, float], int]:
    """Seconds of each part, and the number of rows: those that the load has landed."""
    seconds = {}
    target = sql.Identifier(table.dataset, table.name)
    with psycopg.connect(home.dsn, autocommit=True) as conn:
        with conn.cursor().copy(
            # by a query, as a hypertable's rows are in its chunks
            sql.SQL("copy (select * from {}) to stdout (format binary)").format(target)
        ) as copy:
            whole = b"".join(map(bytes, copy))
        conn.execute(sql.SQL("create table {} (like {} including defaults)").format(COPIED, target))
        conn.execute("checkpoint")

        def copy_rows() -> None:
            into = sql.SQL("copy {} from stdin (format binary)").format(COPIED)
            with conn.cursor().copy(into) as copy:
                for start in range(0, len(whole), BLOCK):
                    copy.write(whole[start : start + BLOCK])

        def build(statement: str, columns: tuple[str, ...]) -> None:
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            conn.execute(sql.SQL(statement).format(COPIED, names))

        create = "create index on {} ({}) where "

        steps: dict[str, Callable[[], object]] = {
            READ: lambda: [file.read_bytes() for file in client.glob(f"vipdoc/*/{files}")],
            COPY: copy_rows,
            KEY: lambda: build("alter table {} add primary key ({})", table.key),
            DATES: lambda: [
                build(create + table.conditions.get(columns, "true"), columns)
                for columns in table.indexes
            ],
        }
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name] = time.perf_counter() - started
        [(bars,)] = conn.execute(sql.SQL("select count(*) from {}").format(COPIED))
        conn.execute(sql.SQL("drop table {}").format(COPIED))
    return seconds, int(bars)


def section(results: Mapping[str, Measured]) -> tuple[str, list[Aim]]:
    lines, wanted = [], []
    for market, (bars, pairs) in results.items():
        parts = (median(pair.limit[part] for pair in pairs) for part in PARTS)
        ratios = [pair.ratio for pair in pairs]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        load = median(pair.load for pair in pairs)
        cells = [f"{seconds:.2f}" for seconds in (load, *parts)]
        lines.append([f"{market}, {bars:,} bars", len(pairs), *cells, spread])
        wanted.append(at_most(f"{market}: first load", median(ratios), AIM, "× its limit"))
    text = (
        "Seconds for `loaders run tdx --dataset kline_daily` from a client's folder into an empty "
        "database. The limit is the work that no program can avoid, measured right after each "
        "load: reading the files once, a binary COPY of the same rows from memory into a table "
        "without a key, the key, and the index by date."
    )
    head = ("bars", "pairs", "load, s", *(f"{part}, s" for part in PARTS), "× its limit")
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted
