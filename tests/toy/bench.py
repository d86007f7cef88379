"""The toy source over a folder of CSV files, and its loads in this process or another."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loaders import sources
from loaders.cli import main as loaders_command
from loaders.engine.load import Load
from loaders.engine.progress import Silent
from loaders.engine.result import LoadResult
from loaders.settings import Settings, load_settings
from loaders.warehouse import lock as locks
from tests.bench import LoadBench, warehouse_url
from tests.faults.scene import wait_until
from tests.forks import Command
from tests.toy import source as toy

FILES = {"AA": "1,10\n2,11\n", "Bb": "1,20\n", "cc": "1,30\n2,31\n3,32\n", "dd": "1,40\n"}
# the job and its tasks, as recorded
RECORD = (
    "select j.status, j.error, t.status from ops.ingestion_jobs as j "
    "join ops.ingestion_job_tasks as t using (job_id) order by job_id, task_no"
)


PRICES = "select symbol, slot, price from raw_toy.price order by 1, 2"


@dataclass
class Toy(LoadBench):
    dsn: str
    folder: Path
    settings: Settings
    started: list[Load] = field(default_factory=list)
    heard: Silent = field(default_factory=Silent)

    def load(self, mode: str = "incremental", **request: Any) -> LoadResult:
        return self.run("toy", mode=mode, on_start=self.started.append, **request)

    def rows(self, query: str = PRICES, *values: Any) -> list[Any]:
        return super().rows(query, *values)

    def write(self, symbol: str, text: str) -> None:
        (self.folder / f"{symbol}.csv").write_text(text)

    def write_files(self) -> None:
        for symbol, text in FILES.items():
            self.write(symbol, text)

    def block(self, symbol: str) -> Callable[[], Callable[[], None]]:
        """Block readers of the symbol.

        The returned function waits for the reader, and returns one that releases it.
        """
        path = self.folder / f"{symbol}.csv"
        text = path.read_text()
        path.unlink()
        os.mkfifo(path)

        def opened() -> int | None:
            try:
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                return None

        def reached() -> Callable[[], None]:
            pipe = wait_until(f"{symbol} is read", opened)

            def release() -> None:
                with contextlib.suppress(BrokenPipeError):  # a reader that was killed
                    os.write(pipe, text.encode())
                os.close(pipe)
                path.unlink()
                path.write_text(text)

            return release

        return reached


ALL = sorted(
    (symbol, *line.split(",")) for symbol, text in FILES.items() for line in text.splitlines()
)
EXPECTED = [(symbol, slot, int(price)) for symbol, slot, price in ALL]


@pytest.fixture
def bench(new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    folder, dsn = tmp_path / "prices", new_database()
    folder.mkdir()
    monkeypatch.setitem(sources.MODULES, "toy", "tests.toy.source")
    monkeypatch.setattr(toy, "FOLDER", folder)
    monkeypatch.setattr(locks, "WATCH_POLL", 0.01)
    environ = {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(tmp_path / "home")}
    prepared = Toy(dsn, folder, load_settings(environ, cwd=tmp_path))
    prepared.write_files()
    return prepared


@contextmanager
def load_elsewhere(bench: Toy) -> Iterator[Command]:
    """`loaders run toy` in its own process, as lanes run in production."""
    environ = os.environ | {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(bench.settings),
        "QUOTEMILL_HOME": str(bench.settings.home),
    }
    load = Command(["toy", str(bench.folder)], env=environ, cwd=bench.folder)
    try:
        yield load
    finally:
        load.kill()


def main() -> None:
    """Load all of the toy source from a folder."""
    sources.MODULES["toy"] = "tests.toy.source"
    toy.FOLDER = Path(sys.argv[1])
    sys.argv = ["loaders", "run", "toy"]
    loaders_command()
