"""Load and build a synthetic market at two sizes, then one new day at two lengths of history."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks import databases
from tests.benchmarks.processes import measured
from tests.benchmarks.sandbox import Market, market, next_days

WRITTEN = """
    select schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del
    from pg_stat_user_tables where schemaname in ('raw_tdx', 'market')
"""


@dataclass(frozen=True)
class Pipeline:
    """A market, an empty database, and the commands between them."""

    market: Market
    dsn: str
    home: Path

    def load(self) -> dict[str, Any]:
        """The figures of stages.load, with the requests that the service saw."""
        before = self.market.calls()
        result: dict[str, Any] = measured("stages", "load", *self._arguments())
        return result | {"requests": self.market.calls() - before}

    def build(self) -> dict[str, Any]:
        result: dict[str, Any] = measured("stages", "build", *self._arguments())
        return result

    def written(self) -> dict[str, int]:
        """Rows that were inserted, updated or deleted so far, by table."""
        with psycopg.connect(self.dsn) as conn:
            return dict(conn.execute(WRITTEN).fetchall())

    def day(self) -> dict[str, Any]:
        """One load and one build, and the rows that they wrote."""
        before = self.written()
        load, build = self.load(), self.build()
        after = self.written()
        written = {t: n - before.get(t, 0) for t, n in after.items() if n != before.get(t, 0)}
        return {"load": load, "build": build, "written": written}

    def vacuum(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("vacuum analyze")
            conn.execute("checkpoint")

    def _arguments(self) -> tuple[object, ...]:
        return (self.dsn, self.home, self.market.url, self.market.actions, self.market.as_of())


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
