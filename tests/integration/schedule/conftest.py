"""A warehouse with the tables of `ops`, and jobs whose processes a test holds and releases."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from loaders import log
from loaders.settings import load_settings
from loaders.trading_time import SHANGHAI
from loaders.warehouse import migrate
from loaders.warehouse.postgres import open_warehouse
from orchestration.run import history
from orchestration.schedule import ledger
from orchestration.schedule.due import Decision
from orchestration.schedule.jobs import Job, Row
from orchestration.schedule.timing import parse_rule
from quotemill.warehouse.postgres import Warehouse

T = TypeVar("T")
FRIDAY = datetime(2026, 11, 20, 17, 30, tzinfo=SHANGHAI).astimezone(UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAILY = Job(
    name="daily",
    command=("python", "-c", ""),
    timing=parse_rule("daily 17:30", "Asia/Shanghai", "XSHG"),
    zone="Asia/Shanghai",
    source="tdx",
    on_overlap="skip",
    deadline=60,
    catch_up=True,
)
FIVE = replace(
    DAILY,
    name="five",
    timing=parse_rule("every 5m in session", "Asia/Shanghai", "XSHG"),
    catch_up=False,
)


@pytest.fixture
def warehouse(filled_database: Callable[..., str], tmp_path: Path) -> Warehouse:
    def fill(url: str) -> None:
        settings = load_settings({}, warehouse_url=url, home=tmp_path / "first")
        migrate.prepare(open_warehouse(settings), [])

    url = filled_database("migrated ops", fill)
    return open_warehouse(load_settings({}, warehouse_url=url, home=tmp_path / "home"))


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Handle SIGINT as the commands do; child processes get the default.

    Otherwise tests that a script starts in its background, and their child processes, ignore it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class BlockedJob:
    """A process that runs when `wait` returns, and exits with the code that `release` gets."""

    def __init__(self, folder: Path, name: str) -> None:
        self._started, self._ends = folder / f"{name}.started", folder / f"{name}.ends"
        for path in (self._started, self._ends):
            os.mkfifo(path)

    def job(self, job: Job) -> Job:
        code = (
            f"open({str(self._started)!r}, 'w').close(); "
            f"raise SystemExit(int(open({str(self._ends)!r}).read()))"
        )
        return replace(job, command=("python", "-c", code))

    def wait(self) -> None:
        self._started.read_text()

    def release(self, code: int = 0) -> None:
        self._ends.write_text(str(code))


@pytest.fixture
def blocked(tmp_path: Path) -> BlockedJob:
    return BlockedJob(tmp_path, "blocked")


class Book:
    """The functions of the ledger at given times."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.run_id = ""  # of the start that was taken last

    def do(self, work: Callable[..., T], job: Job, now: datetime, **options: Any) -> T:
        return self.warehouse.ask(lambda conn: work(conn, job, now, **options))

    def take(self, job: Job, now: datetime, **options: Any) -> Decision:
        """Take what is due, for a run that nobody keeps alive."""
        self.run_id = options.setdefault("run_id", log.new_run_id())
        return self.do(ledger.claim_start, job, now, **options)

    def ran(self, job: Job, now: datetime) -> datetime | None:
        """Take what is due, and end it at once."""
        taken = self.take(job, now)
        if taken.start is not None:
            self.end(job, 0, now)
        return taken.start

    def end(self, job: Job, code: int, now: datetime) -> None:
        """End the newest run of a job that has no end, as the runner does."""
        with self.warehouse.connect() as conn:
            ledger.plan_retry(conn, job, code, now)
            ended = conn.execute(
                "update ops.runs set finished_at = %s, exit_code = %s where run_id = ("
                "select run_id from ops.runs where schedule = %s and finished_at is null "
                "order by started_at desc limit 1)",
                (now, code, job.name),
            )
            assert ended.rowcount == 1

    def alive(self, job: Job, taken: Decision) -> AbstractContextManager[history.Run]:
        """The process of a run."""
        assert taken.start
        return history.recorded(self.warehouse, "x", run_id=self.run_id, schedule=job.name)

    def row(self, job: Job, now: datetime | None = None) -> Row:
        rows = self.warehouse.ask(lambda conn: ledger.read_rows(conn, now))
        return {row.name: row for row in rows}[job.name]

    def runs(self, job: Job) -> int:
        with self.warehouse.connect() as conn:
            query = "select count(*) from ops.runs where schedule = %s"
            [(count,)] = conn.execute(query, (job.name,))
        return int(count)


@pytest.fixture
def book(warehouse: Warehouse) -> Book:
    return Book(warehouse)
