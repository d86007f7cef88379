"""Load and build day bars of a synthetic market at two sizes, then one new day at two lengths of
history."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks import databases
from tests.benchmarks.processes import measured
from tests.benchmarks.sandbox import Market, market, next_days

# day bars, and what adjusts them
DAY_BARS = ("kline_daily", "corporate_actions")
WRITTEN = """
    select schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del
    from pg_stat_user_tables where schemaname in ('raw_tdx', 'market')
"""
READ = """
    select t.schemaname || '.' || t.relname,
        coalesce(t.seq_tup_read, 0) + coalesce(sum(i.idx_tup_read), 0)::bigint
    from pg_stat_user_tables as t
    left join pg_stat_user_indexes as i on i.relid = t.relid
    where t.schemaname in ('raw_tdx', 'market')
    group by t.schemaname, t.relname, t.seq_tup_read
"""


@dataclass(frozen=True)
class Pipeline:
    """A market, an empty database, and the commands between them."""

    market: Market
    dsn: str
    home: Path

    def load(
        self, datasets: Sequence[str] = DAY_BARS, settings: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The figures of stages.load, with the requests that the service saw."""
        before = self.market.calls()
        result: dict[str, Any] = self._run("load", datasets, settings)
        return result | {"requests": self.market.calls() - before}

    def build(self) -> dict[str, Any]:
        result: dict[str, Any] = self._run("build")
        return result

    def counted_build(self) -> dict[str, int]:
        """A build that tells the rows that each node of it read."""
        result: dict[str, int] = self._run("count")
        return result

    def counted(self, query: str) -> dict[str, int]:
        """Rows WRITTEN (inserted, updated or deleted) or READ by scans so far, by table."""
        with psycopg.connect(self.dsn) as conn:
            return dict(conn.execute(query.encode()).fetchall())

    def day(self) -> dict[str, Any]:
        """One load and one build, and the rows that they wrote."""
        before = self.counted(WRITTEN)
        load, build = self.load(), self.build()
        return {"load": load, "build": build, "written": grown(before, self.counted(WRITTEN))}

    def vacuum(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("vacuum analyze")
            conn.execute("checkpoint")

    def _run(
        self, stage: str, datasets: Sequence[str] = (), settings: Mapping[str, Any] | None = None
    ) -> Any:
        service = (self.market.url, self.market.actions, self.market.as_of())
        options = (",".join(datasets), json.dumps(settings or {}))
        return measured("stages", stage, self.dsn, self.home, *service, *options)


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """By how much each count grew, where it did."""
    return {t: n - before.get(t, 0) for t, n in after.items() if n != before.get(t, 0)}


@contextmanager
def pipeline(server: str, scratch: Path, codes: int, days: int) -> Iterator[Pipeline]:
    folder = scratch / f"market-{codes}-{days}"
    folder.mkdir(exist_ok=True)
    with (
        databases.database(server) as dsn,
        market(folder, codes, days) as running,
    ):
        home = folder / dsn.partition("/bench_")[2].partition("?")[0]
        home.mkdir()
        yield Pipeline(running, dsn, home)


def first_run(server: str, scratch: Path, codes: int, days: int) -> dict[str, Any]:
    """Everything from nothing."""
    with pipeline(server, scratch, codes, days) as made:
        return {"load": made.load(), "build": made.build()}


def new_days(server: str, scratch: Path, codes: int, days: int, count: int) -> dict[str, Any]:
    """`count` further days one after the other, and a run with nothing new after them."""
    with pipeline(server, scratch, codes, days) as made:
        made.day()
        # the first run after it is the first incremental one: dbt compiles other SQL for it
        results = []
        for day in next_days(count + 1):
            made.vacuum()
            made.market.move_to(day)
            results.append(made.day())
        return {"days": results[1:], "nothing": made.day()}
