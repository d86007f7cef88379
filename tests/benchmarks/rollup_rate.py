"""The first build of bars of 5, 15 and 30 minutes, beside one bare `create table as` of 5 minutes."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from tests.benchmarks import databases
from tests.benchmarks.processes import measured
from tests.benchmarks.report import table
from tests.benchmarks.report_minutes import ROLLUPS

TITLE = "Bars of minutes from nothing"
DAYS = 100
# 09:31 to 11:30 and 13:01 to 15:00 in Shanghai
_MINUTES = """
    insert into raw_tdx.kline_minute (
        code, bar_end, trade_date, source_label, open, high, low, close, volume, amount,
        route_no, file_no, fetched_at, is_final
    )
    select
        'sh' || 600000 + c, d + time '01:30' + interval '1 minute' * (m + 90 * (m > 120)::integer), d,
        '', 10000 + m, 10010 + m, 9990 + m, 10000 + m, 100, 100 * 100 * (10000 + m), 1, 1, now(), true
    from generate_series(1, {codes}) as c, generate_series(1, {days}) as n, generate_series(1, 240) as m,
        lateral (select date '2024-01-01' + n as d) as day
"""
# no key, no contract, no change feed, raw units
_BARE = """
    create table bare as
    select
        code,
        date_bin('5 minutes', bar_end - interval '1 minute', timestamptz '2000-01-01 00:00+00')
            as bar_begin,
        max(trade_date) as trade_date,
        (array_agg(open order by bar_end))[1] as open,
        max(high) as high,
        min(low) as low,
        (array_agg(close order by bar_end))[count(*)] as close,
        sum(volume) as volume,
        sum(amount) as amount
    from raw_tdx.kline_minute
    group by 1, 2
"""


def side_by_side(server: str, scratch: Path, codes: int, rounds: int) -> list[dict[str, Any]]:
    """Seconds of the bare statement and of each model, by round; `minutes` counts the rows."""
    found = []
    for number in range(rounds):
        home = scratch / f"rollups-{codes}-{number}"
        home.mkdir()
        with databases.database(server) as dsn:
            prepare(databases.warehouse(dsn, home), landed_tables())
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute("set timezone to 'UTC'")
                minutes = conn.execute(_MINUTES.format(codes=codes, days=DAYS).encode()).rowcount
                conn.execute("vacuum analyze raw_tdx.kline_minute")
                conn.execute("checkpoint")
                began = time.perf_counter()
                conn.execute(_BARE.encode())
                bare = time.perf_counter() - began
                conn.execute("drop table bare")
                conn.execute("checkpoint")
            as_of = "2024-06-01T00:00:00+08:00"
            build = measured("stages", "build", dsn, home, "http://none", "", as_of, "", "{}")
        models = {n["name"]: n["seconds"] for n in build["nodes"] if n["name"] in ROLLUPS}
        found.append({"minutes": minutes, "bare": bare, "models": models})
    return found


def section(found: Sequence[dict[str, Any]]) -> str:
    minutes = found[0]["minutes"]
    bare = median(run["bare"] for run in found)
    seconds = {name: median(run["models"][name] for run in found) for name in ROLLUPS}
    rows = [[f"`{name}`", s, s / bare] for name, s in seconds.items()]
    rows.append(
        ["all three, one after the other", sum(seconds.values()), sum(seconds.values()) / bare]
    )
    return "\n".join(
        [
            f"{minutes:,} minutes, {DAYS} days of each code. The bare statement is one `create table as` of "
            "bars of 5 minutes in raw units, without key, index, contract or feed: "
            f"{minutes / bare:,.0f} minutes/s. Medians of {len(found)} rounds.",
            "",
            table(
                ("first build", "seconds", "to the bare statement", "minutes/s"),
                [
                    [name, f"{s:.1f}", f"{ratio:.2f} ×", f"{minutes / s:,.0f}"]
                    for name, s, ratio in rows
                ],
            ),
        ]
    )
