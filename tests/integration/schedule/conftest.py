"""A warehouse with the tables of `ops`, and jobs whose processes a test holds and releases."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loaders.settings import load_settings
from loaders.warehouse import migrate
from loaders.warehouse.postgres import open_warehouse
from orchestration.schedule.jobs import Job
from orchestration.schedule.timing import parse_rule
from quotemill.warehouse.postgres import Warehouse

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
