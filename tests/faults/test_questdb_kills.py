"""QuestDB's process killed while a day is written: the day is whole, the others stay."""

import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loaders.ticks.day_hash import measured
from loaders.ticks.questdb import server
from loaders.ticks.questdb import store as questdb_store
from loaders.ticks.questdb.ilp import IlpWriter
from loaders.ticks.questdb.staging import StageWriter
from loaders.ticks.tables import MAIN_TICKS
from quotemill.ticks.questdb_http import QuestdbHttp, StoreAway
from tests.integration.ticks.servers import SMALL, a_server, kill, open_at, start
from tests.ticks import KEY, day_of_ticks, write_day

YESTERDAY = KEY._replace(trading_day=date(2025, 11, 13))
OTHER = KEY._replace(symbol="KQ.m@SHFE.al", contract="SHFE.al2601")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with a_server() as made:
        yield made


class Killer:
    """Kills the server once and starts it again beside the store, which has to wait for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.threads: list[threading.Thread] = []

    def strike(self) -> None:
        if not self.threads:
            kill(self.folder)
            self._beside(lambda: start(self.folder))

    def strike_beside(self, delay: float) -> None:
        """After `delay` seconds, while the caller goes on."""
        if not self.threads:
            timer = threading.Timer(delay, self._strike_now)
            self.threads.append(timer)
            timer.start()

    def _strike_now(self) -> None:
        kill(self.folder)
        start(self.folder)

    def _beside(self, work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)
        self.threads.append(thread)
        thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join()


@pytest.fixture
def killer(folder: Path) -> Iterator[Killer]:
    made = Killer(folder)
    yield made
    made.join()


def _before(
    owner: object, name: str, strike: Callable[[], None], patch: pytest.MonkeyPatch
) -> None:
    real = getattr(owner, name)

    def struck(self: Any, *args: Any) -> Any:
        strike()
        return real(self, *args)

    patch.setattr(owner, name, struck)


def _places(day: pa.Table) -> set[tuple[object, ...]]:
    return set(zip(day["ts"].to_pylist(), day["seq"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("way", "moment"),
    [
        ("stage", "before the rows are sent"),
        ("stage", "in the request"),
        ("stage", "before they are applied"),
        ("stage", "before they are read back"),
        ("ilp", "in the request"),
        ("ilp", "before they are applied"),
    ],
)
def test_a_day_is_whole_after_the_server_was_killed(
    folder: Path, killer: Killer, monkeypatch: pytest.MonkeyPatch, way: str, moment: str
) -> None:
    store = open_at(folder, way)
    store.prepare()
    before = write_day(store, day_of_ticks(1000, YESTERDAY))
    # of the day before the kill, in part another one: rows are added, changed and taken away
    old, day = day_of_ticks(2500, seed=1), day_of_ticks(2000, seed=2)
    write_day(store, old)
    writer = StageWriter if way == "stage" else IlpWriter
    with monkeypatch.context() as patch:
        if moment == "before the rows are sent":
            _before(writer, "send", killer.strike, patch)
        elif moment == "in the request":
            _before(writer, "send", lambda: killer.strike_beside(0.01), patch)
        elif moment == "before they are applied":
            _before(QuestdbHttp, "wait_applied", killer.strike, patch)
        else:
            _before(questdb_store, "measure_written", killer.strike, patch)
        seen = write_day(store, day)
    killer.join()
    assert killer.threads, "the server was killed"
    assert seen == measured(day)
    assert store.read_day(KEY).num_rows == 2000
    assert store.measure(*YESTERDAY) == before
    (answer,) = store._connection.http().rows(f"select count() as n from {MAIN_TICKS.name}")
    assert answer["n"] == 1000 + len(_places(old) | _places(day)), "no row is there twice"
    assert not list((folder / "import").glob("quotemill-*"))
    store.close()


def test_a_server_that_stays_away_ends_the_load(folder: Path) -> None:
    store = open_at(folder, settings=SMALL.model_copy(update={"wait": 0.2}))
    store.prepare()
    server.stop(folder)
    with pytest.raises(StoreAway) as raised:
        write_day(store, day_of_ticks(10, OTHER))
    assert "`quotemill questdb start`" in raised.value.hint
    start(folder)
    assert write_day(store, day_of_ticks(10, OTHER)).rows == 10
    store.close()
