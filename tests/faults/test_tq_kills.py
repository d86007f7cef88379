"""Ticks whose load, client or store is killed at any point, and main contracts whose load is: the next load
makes the same tables and hashes."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from loaders.errors import UpstreamError
from loaders.progress import Silent
from loaders.ticks.open_store import open_store
from loaders.ticks.questdb import server
from loaders.ticks.store import IndexRow
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.postgres import open_warehouse
from tests.faults.tq_driver import OF_A_DAY, OF_A_SERVER, OF_LANDING, OF_MAPPING
from tests.integration.ticks.conftest import empty_questdb, questdb_folder  # noqa: F401
from tests.integration.ticks.servers import SMALL
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.conftest import made, mapped, questdb_url, schedule_dsn  # noqa: F401
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import DAYS, INDEX, world

ROOT = Path(__file__).parents[2]
DICE = random.Random(20251014)


class Point(NamedTuple):
    """`day` is the one of the load's days at which it comes, from 1."""

    store: str
    stage: str
    moment: str = "answered"
    day: int = 1

    def __str__(self) -> str:
        return f"{self.store}, {self.stage}: {self.moment}, day {self.day}"


def points(*of: tuple[str, str], days: int = 1) -> list[Point]:
    """On QuestDB: each (stage, moment) on so many days."""
    return [
        Point("questdb", stage, moment, day)
        for stage, moment in of
        for day in sorted(DICE.sample(range(1, DAYS + 1), days))
    ]


# four and more in each stage
POINTS = [
    *points(("client", "answered"), *(("load", moment) for moment in OF_A_DAY), days=4),
    *(Point("questdb", "load", moment) for moment in OF_LANDING),
    *points(*((stage, moment) for stage in ("server", "both") for moment in OF_A_SERVER), days=2),
]
FEW = [
    Point("postgres", "client", day=3),
    Point("postgres", "load", OF_LANDING[1]),
    Point("questdb", "both", OF_A_SERVER[2], 4),
]
# a load that is killed, and one that outlives what is killed
ENDS = {"client": 0, "server": UpstreamError.exit_code}


@pytest.mark.parametrize(
    "point", [*FEW, *(pytest.param(point, marks=pytest.mark.soak) for point in POINTS)], ids=str
)
def test_what_a_kill_left_undone_the_next_load_does(
    point: Point,
    schedule_dsn: str,  # noqa: F811
    made: Bench,  # noqa: F811
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """`made` is what a load leaves that nothing befell."""
    environ, folder = {}, None
    if point.store == "questdb":
        environ = {"QUOTEMILL_QUESTDB_URL": request.getfixturevalue("questdb_url")}
        folder = request.getfixturevalue("questdb_folder")
    with bench(world(), schedule_dsn, tmp_path / "killed", environ=environ) as killed:
        ended = drive(killed, point, folder, environ)
        assert ended.returncode == ENDS.get(point.stage, -signal.SIGKILL), ended.stderr.decode()
        if point.stage in ("server", "both"):
            assert folder is not None
            assert server.running(folder) is None
            port = int(environ["QUOTEMILL_QUESTDB_URL"].rpartition(":")[2])
            same = SMALL.model_copy(update={"port": port})
            server.start(folder, same, conf={"dev.mode.enabled": "true"})
        landed = len(killed.rows(INDEX))
        assert (landed == DAYS) is (point.stage == "client" or point.moment in OF_LANDING[2:])
        indexed = len(index_of(killed))
        asked_days(killed)
        result = killed.load("ticks")
        assert result.status == "succeeded", result
        assert asked_days(killed) == DAYS - indexed
        assert contents(killed) == contents(made)
        found = verify(killed.settings, open_warehouse(killed.settings), Silent())
        assert (found.days, found.differences) == (DAYS, ())
        assert killed.load("ticks").total("rows_new") == asked_days(killed) == 0
    record_property("figures", f"{point}: {indexed} of {DAYS} days stood, {landed} on record")


# in the one that CI kills, the events are there and not yet the days that they cover
MAPPINGS = [
    pytest.param(moment, marks=() if moment == OF_LANDING[2] else pytest.mark.soak)
    for moment in (*OF_MAPPING, *OF_LANDING)
]
MAPPED = (
    "select variety, route, trading_day, event_at, contract from raw_tq.main_event",
    "select variety, route, first_day, last_day from raw_tq.main_harvest",
    "select contract, variety, expire_date from raw_tq.contract",
    "select contract, trade_date, open, high, low, close, volume, close_oi, is_final "
    "from raw_tq.contract_daily",
    "select contract, first_day, failed from raw_tq.daily_harvest",
    "select trade_date, is_final from raw_tq.trading_day",
    "select variety, session, idx, start_s, end_s from raw_tq.trading_session",
)


@pytest.mark.parametrize("moment", MAPPINGS)
def test_a_load_of_main_contracts_that_was_killed_is_made_good_by_the_next(
    moment: str,
    mapped: Bench,  # noqa: F811
    new_database: Callable[..., str],
    tmp_path: Path,
) -> None:
    """`mapped` is what a load leaves that nothing befell."""
    with bench(world(), new_database(), tmp_path / "killed") as killed:
        ended = drive(killed, Point("postgres", "mapping", moment), None, {})
        assert ended.returncode == (0 if moment == "client" else -signal.SIGKILL), ended.stderr
        landed = killed.rows("select count(*) > 0 from raw_tq.main_event")
        assert landed == [(moment == "client" or moment in OF_LANDING[2:],)]
        assert killed.load().status == "succeeded"
        for query in MAPPED:
            assert (rows := sorted(killed.rows(query), key=str)), query
            assert rows == sorted(mapped.rows(query), key=str), query
        again = killed.load()
        assert again.total("rows_new") + again.total("rows_changed") == 0


def drive(
    killed: Bench, point: Point, folder: Path | None, environ: dict[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    """The load in a process of its own; it does not wait for a server that went away."""
    assert killed.settings.warehouse_url is not None
    given = killed.sandbox.settings() | {"pace": 0, "backoff": 0, "concurrency": 1}
    given["varieties"] = ",".join(given["varieties"])
    own = {f"QUOTEMILL_TQ__{name.upper()}": str(value) for name, value in given.items()}
    place = {
        "QUOTEMILL_WAREHOUSE_URL": killed.settings.warehouse_url.get_secret_value(),
        "QUOTEMILL_HOME": str(killed.settings.home),
        "QUOTEMILL_QUESTDB__WAIT": "0.2",
        "DBT_PROFILES_DIR": str(killed.settings.home),
    }
    command = [sys.executable, "-m", "tests.faults.tq_driver"]
    command += [point.stage, point.moment, str(point.day), killed.sandbox.clock.isoformat()]
    return subprocess.run(
        command + ([str(folder)] if folder else []),
        cwd=ROOT,
        env=os.environ | own | place | environ,
        capture_output=True,
        timeout=240,
    )


def index_of(of: Bench) -> list[IndexRow]:
    with closing(open_store(of.settings, open_warehouse(of.settings))) as store:
        store.prepare()
        return sorted(store.index(), key=lambda row: row.trading_day)


def contents(of: Bench) -> tuple[Any, ...]:
    """The landed index, and index, schedule and ticks as readers of the store see them."""
    index = index_of(of)
    alike = [replace(row, run_id="", updated_at=row.first_ts) for row in index]
    with closing(open_store(of.settings, open_warehouse(of.settings))) as store:
        schedule = store.schedule(index[0].symbol).to_pylist()
        days = [store.read_day(r.symbol, r.contract, r.trading_day).to_pylist() for r in index]
    return of.rows(INDEX), alike, schedule, days
