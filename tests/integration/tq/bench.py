"""A warehouse, simulated futures servers and the loader between them, for tests to drive."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from loaders.engine.result import LoadResult
from loaders.sandbox.tq.world import World
from loaders.settings import Settings, load_settings
from loaders.tq.client.program.codes import own_code
from loaders.trading_time import SHANGHAI
from tests.bench import Heard, LoadBench
from tests.requirements import require
from tests.tick_mirror import mirrored, serve

if TYPE_CHECKING:
    from loaders.sandbox.tq.service import TqSandbox


@dataclass
class Bench(LoadBench):
    """`load` runs one lane at the sandbox's clock, or another; `rows` asks the warehouse."""

    sandbox: "TqSandbox"
    settings: Settings
    heard: Heard

    def load(
        self,
        mode: str = "mapping",
        *,
        clock: datetime | None = None,
        **request: Any,
    ) -> LoadResult:
        as_of = (clock or self.sandbox.clock).replace(tzinfo=SHANGHAI)
        return self.run("tq", mode=mode, as_of=as_of, **request)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Of the warehouse; of QuestDB's tables as schema `ticks`."""
        with self.connect() as conn, self._mirror(conn, query, back=False):
            return conn.execute(query.encode(), values or None).fetchall()

    def execute(self, statement: str) -> None:
        with self.connect() as conn, self._mirror(conn, statement, back=True):
            conn.execute(statement.encode())

    def keep_ticks(self) -> None:
        """Let copies of the warehouse's database bring the ticks with them."""
        with self.connect() as conn, mirrored(conn, self.settings, back=False):
            pass

    def _mirror(
        self, conn: psycopg.Connection, sql: str, *, back: bool
    ) -> AbstractContextManager[None]:
        if "ticks.ghtrader" in sql or "schema ticks" in sql:
            return mirrored(conn, self.settings, back=back)
        return nullcontext()

    def asked(self, *words: str) -> list[str]:
        """The client's requests since the last call that contain all the words."""
        received = [entry.detail for entry in self.sandbox.log if entry.what == "receive"]
        self.sandbox.log.clear()
        return [detail for detail in received if all(word in detail for word in words)]


def count_days(result: LoadResult) -> int:
    """Days of ticks that the load stored for the first time."""
    return sum(task.rows_new for task in result.tasks if task.dataset == "ticks")


def count_changed_days(result: LoadResult) -> int:
    """Days of ticks whose rows of the index the load changed."""
    return sum(task.rows_changed for task in result.tasks if task.dataset == "ticks")


@contextmanager
def bench(
    world: World,
    dsn: str,
    home: Path,
    *,
    clock: Any = None,
    faults: Sequence[str] = (),
    environ: dict[str, str] | None = None,
    **tq: Any,
) -> Iterator[Bench]:
    """Serve `world` with quick retries and no patience: no test waits.

    One process of the client at a time for ticks, as each costs a second.
    """
    present = all(find_spec(name) is not None for name in ("tqsdk", "aiohttp"))
    require("tq", present, "the extra tq is not installed")
    from loaders.sandbox.tq.service import TqSandbox

    home.mkdir(exist_ok=True)
    quick = {"backoff": 0.0, "pace": 0.0, "retries": 1, "wait": 0.0}
    quick |= {"days_per_process": 100, "concurrency": 1}
    environment = {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(home)} | (environ or {})
    if "QUOTEMILL_QUESTDB_URL" not in environment:
        environment["QUOTEMILL_QUESTDB_URL"] = serve(dsn)
    with TqSandbox(world, faults, clock) as sandbox:
        settings = load_settings(environment, cwd=home, tq=sandbox.settings() | quick | tq)
        yield Bench(sandbox, settings, Heard())


def build_schedule(made: Bench, first: date = date.min) -> None:
    """Write futures.main_schedule from a day on, as dbt's build of the sandbox's answers would."""
    import hashlib

    made.execute(
        "create schema if not exists futures; "
        "create table if not exists futures.main_schedule (variety text, symbol text, "
        "trading_day date, underlying_contract text, segment_id integer, prev_contract text, "
        "is_switch boolean, schedule_hash text, source text); delete from futures.main_schedule; "
        "insert into ops.managed_relation values ('futures', 'main_schedule') "
        "on conflict do nothing"
    )
    rows: list[tuple[Any, ...]] = []
    for variety in made.settings.tq.varieties:
        number, stamp, held = 0, "", None
        for day, code in made.sandbox.schedule(variety):
            if day < first:
                continue
            contract = code and own_code(code, day)
            before = held
            if contract is not None and contract != held:
                text = f"{stamp}|{variety}|{contract}|{day:%Y%m%d}"
                number, stamp = number + 1, hashlib.sha256(text.encode()).hexdigest()[:16]
            if contract is not None:
                series, is_switch = f"KQ.m@{variety}", before not in (None, contract)
                rows.append(
                    (variety, series, day, contract, number, before, is_switch, stamp, "backtest")
                )
            held = contract
    with made.connect() as conn, conn.cursor() as cur:
        cur.executemany(
            "insert into futures.main_schedule values (%s, %s, %s, %s, %s, %s, %s, %s, %s)", rows
        )
