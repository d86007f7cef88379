"""A warehouse that goes away: the load waits, or keeps what it fetched."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.sandbox.world.market import SyntheticMarket
from loaders.warehouse import lock
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import LockHeldError
from tests.faults.scene import Scene, assert_same, ended, facts, wait_until
from tests.homes import new_home
from tests.integration.tdx_load.bench import Heard, bench

OpenScene = Callable[..., Scene]
STUCK = "hang:kline-all:after=7"
SLICED = {"QUOTEMILL_TDX__SLICE_SIZE": "3", "QUOTEMILL_TDX__TIMEOUT": "1"}
SOAK = pytest.mark.soak
KEY = "select pg_try_advisory_lock(hashtextextended('quotemill:load:tdx', 0))"


@dataclass
class Server:
    """A server of a home of its own, to be killed."""

    home: Path

    @property
    def pid(self) -> int:
        server = embedded.running(self.home)
        assert server is not None
        return server.pid

    @property
    def url(self) -> str:
        return embedded.expected_url(self.home)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        wait_until("the server is dead", lambda: embedded.running(self.home) is None)

    def start(self) -> None:
        embedded.ensure_running(self.home)


@pytest.fixture
def server() -> Iterator[Server]:
    with new_home() as home:
        made = Server(home)
        made.start()
        yield made


@pytest.fixture
def own_server(open_scene: OpenScene) -> Iterator[Scene]:
    """A scene that uses the embedded server of its own home, as a user does by default."""
    scene = open_scene(dsn=None, **SLICED)
    embedded.ensure_running(scene.home)
    scene.seen = embedded.expected_url(scene.home)
    yield scene
    embedded.stop(scene.home)


def stuck(scene: Scene) -> Any:
    """A load whose next request hangs, with some packages landed."""
    scene.sandbox.faults.add(STUCK)
    return scene.begin_stuck()


@pytest.mark.parametrize("point", ["after COPY, before the upsert", "before ingestion_state"])
def test_the_embedded_server_is_killed_and_the_load_goes_on(
    own_server: Scene, undisturbed: dict[str, Any], tmp_path: Path, point: str
) -> None:
    victim = embedded.running(own_server.home)
    assert victim is not None
    own_server.env["FAULTS_VICTIM"] = str(victim.pid)
    done = own_server.driven(tmp_path / "report", point, 4)

    assert point in (tmp_path / "report").read_text()
    assert done.code == 0, done.said
    assert own_server.jobs() == ["succeeded"]
    assert_same(own_server.facts(), undisturbed)


def test_a_server_killed_while_the_load_fetches_costs_nothing(
    own_server: Scene, undisturbed: dict[str, Any]
) -> None:
    process = stuck(own_server)
    victim = embedded.running(own_server.home)
    assert victim is not None
    os.kill(victim.pid, signal.SIGKILL)
    own_server.sandbox.faults.clear()
    done = ended(process)

    assert done.code == 0, done.said
    assert own_server.jobs() == ["succeeded"]
    assert_same(own_server.facts(), undisturbed)


@pytest.mark.parametrize(
    ("point", "rows_stay"),
    [
        ("after COPY, before the upsert", True),
        pytest.param("load begun, no file started", True, marks=SOAK),
        pytest.param("before ingestion_state", False, marks=SOAK),
    ],
)
def test_a_load_whose_server_stays_away_keeps_what_it_fetched(
    open_scene: OpenScene,
    server: Server,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    point: str,
    rows_stay: bool,
) -> None:
    scene = open_scene(dsn=server.url, **SLICED)
    scene.env |= {"FAULTS_VICTIM": str(server.pid), "FAULTS_PATIENCE": "1"}
    gone = scene.driven(tmp_path / "report", point, 5)

    assert gone.code == 4, gone.said
    assert "Traceback" not in gone.said
    assert ("the rows are kept on disk" in gone.said) is rows_stay
    assert "warehouse" in gone.said
    assert scene.run().code == 4

    server.start()
    again = scene.run()
    assert again.code == 0, again.said
    assert ("an interrupted run" in again.said) is rows_stay
    assert scene.jobs() == ["interrupted", "succeeded"]
    assert_same(scene.facts(), undisturbed)


def test_a_warehouse_that_is_down_is_named_with_what_to_do(open_scene: OpenScene) -> None:
    scene = open_scene(dsn="postgresql://someone:secret@127.0.0.1:1/nothing")
    down = scene.run()

    assert down.code == 4
    assert "the warehouse postgresql://someone@127.0.0.1:1/nothing cannot be reached" in down.said
    assert "QUOTEMILL_WAREHOUSE_URL" in down.said
    assert "secret" not in down.said


def test_no_second_load_starts_while_the_server_restarts(
    open_scene: OpenScene, server: Server, undisturbed: dict[str, Any]
) -> None:
    scene = open_scene(dsn=server.url, **SLICED)
    process = stuck(scene)
    server.kill()
    server.start()

    second = scene.run()  # the server knows of no lock now; the machine does
    assert second.code == 75, second.said
    assert f"pid {process.pid}" in second.said
    scene.sandbox.faults.clear()
    first = ended(process)
    assert first.code == 0, first.said
    assert_same(scene.facts(), undisturbed)


def test_a_lock_taken_by_another_machine_ends_the_load(
    new_database: Callable[[], str],
    market: SyntheticMarket,
    actions_file: Path,
    undisturbed: dict[str, Any],
    tmp_path: Path,
) -> None:
    dsn = new_database()

    class Robbed(Heard):
        """After seven codes the load's lock is gone and somebody else has it."""

        codes = 0

        def advance(self, dataset: str, keys: int) -> None:
            self.codes += dataset == "kline_daily"
            if self.codes == 7:
                wait_until("somebody else has the lock", self.robbed)

        def robbed(self) -> bool:  # the load's watch may have taken it again in between
            other.execute(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
                "where application_name = 'quotemill load lock: tdx' "
                "and datname = current_database()"
            )
            return other.execute(KEY.encode()).fetchone() == (True,)

    actions = {"corporate_actions": str(actions_file)}
    with (
        psycopg.connect(dsn, autocommit=True) as other,
        bench(market, dsn, tmp_path, slice_size=3, minute_days=1, **actions) as loads,
    ):
        loads.heard = Robbed()
        result = loads.load()

        assert result.exit_code == 75
        assert "another load of tdx holds the lock" in (result.error or "")
        assert len({row[0] for row in loads.klines()}) == 6
        other.close()
        loads.heard = Heard()
        assert loads.load().exit_code == 0
    assert_same(facts(dsn), undisturbed)


def test_a_lock_is_taken_again_after_its_connection_broke(
    new_database: Callable[[], str], market: SyntheticMarket, tmp_path: Path
) -> None:
    dsn = new_database()
    with bench(market, dsn, tmp_path) as loads, psycopg.connect(dsn, autocommit=True) as other:
        loads.load(codes=("sh600000",))
        warehouse = open_warehouse(loads.settings)
        with lock.load_lock(warehouse, "tdx") as held:
            end = (
                "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity "
                "where application_name = 'quotemill load lock: tdx' "
                "and datname = current_database()"
            )
            assert other.execute(end.encode()).fetchone() == (1,)
            held.confirm()
            assert other.execute(KEY.encode()).fetchone() == (False,)

            other.execute(end.encode())
            assert other.execute(KEY.encode()).fetchone() == (True,)
            for _ in range(2):
                with pytest.raises(LockHeldError):
                    held.confirm()
        other.execute("select pg_advisory_unlock_all()")
        with lock.load_lock(warehouse, "tdx"):
            pass
