"""Rows that each model and test of one new day's build reads, at three lengths of history."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from loaders.warehouse import profiles
from tests.benchmarks.market_day import BARS
from tests.benchmarks.report import Aim, table
from tests.benchmarks.sandbox import next_days
from tests.benchmarks.whole import pipeline

TITLE = "Rows read for one new day, by model and test"
# of the calendars every model reads all: one row a day of the market, not of each code
READ = """
    select coalesce(sum(t.seq_tup_read), 0)::bigint + coalesce(sum(i.idx_tup_read), 0)::bigint
    from pg_stat_user_tables as t
    left join (
        select relid, sum(idx_tup_read) as idx_tup_read from pg_stat_user_indexes group by relid
    ) as i on t.relid = i.relid
    where
        t.schemaname in ('raw_tdx', 'market', 'quotemill_intermediate')
        and t.relname not in ('trading_day', 'trading_calendar')
"""
OTHERS = """
    select coalesce(array_agg(pid), '{}') from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
"""


@contextmanager
def counting(dsn: str) -> Iterator[dict[str, int]]:
    """Rows that dbt's nodes read, by unique id: for builds within, one node at a time. A server
    process tells what it counted as it ends, and each node has its own connection."""
    from dbt.cli import main

    reads: dict[str, int] = {}
    with psycopg.connect(dsn, autocommit=True) as conn:

        def ask(query: str) -> Any:
            return conn.execute(query.encode()).fetchall()[0][0]

        before: dict[str, tuple[int, set[int]]] = {}

        def on_event(event: Any) -> None:
            if event.info.name not in ("NodeStart", "NodeFinished"):
                return
            node = event.data.node_info.unique_id
            if event.info.name == "NodeStart":
                before[node] = ask(READ), set(ask(OTHERS))
                return
            count, pids = before[node]
            while not set(ask(OTHERS)) <= pids:
                time.sleep(0.01)
            reads[node] = ask(READ) - count

        runner, profiles.THREADS = main.dbtRunner, 1
        main.dbtRunner = lambda: runner(callbacks=[on_event])  # type: ignore[assignment, misc]
        try:
            yield reads
        finally:
            main.dbtRunner = runner  # type: ignore[misc]


def of_a_day(server: str, scratch: Path, codes: int, days: int, minute_days: int) -> dict[str, int]:
    """The rows that each node reads for one further day, onto `days` of day bars and `minute_days`
    of minutes."""
    with pipeline(server, scratch, codes, days) as made:
        made.load((*BARS, "corporate_actions"), {"minute_days": minute_days - 1})
        made.build()
        # the first of these is the first incremental one: dbt compiles other SQL for it
        reads: dict[str, int] = {}
        for day in next_days(2):
            made.vacuum()
            made.market.move_to(day)
            made.load(BARS, {"minute_days": 2})
            reads = made.counted_build()
        return reads


def section(found: Mapping[int, Mapping[str, int]], codes: int) -> tuple[str, Sequence[Aim]]:
    """`found`: rows read by node, by how many times the history."""
    sizes = sorted(found)
    nodes = sorted({n for reads in found.values() for n, count in reads.items() if count})
    rows = {node: [found[size].get(node, 0) for size in sizes] for node in nodes}
    growing = [node for node, counts in rows.items() if counts[-1] > 1.1 * counts[0] + 10]
    text = "\n".join(
        [
            f"{codes} codes with day bars and minutes; one further day, built one node at a time. "
            "Of the calendars, a row a day of the market, every model reads all: they are not counted.",
            "",
            table(
                ("rows read", *(f"{size} × the history" for size in sizes)),
                [[named(node), *(f"{n:,}" for n in counts)] for node, counts in rows.items()],
            ),
        ]
    )
    names = ", ".join(named(node) for node in growing) or "none"
    name = f"models and tests of one new day that read more at {sizes[-1]} × the history"
    return text, [(name, "none", names, not growing)]


def named(node: str) -> str:
    kind, _, name, *_ = node.split(".")
    return f"`{name}`" if kind == "model" else f"{kind} `{name}`"
