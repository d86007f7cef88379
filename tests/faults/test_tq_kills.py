"""Killed loads, clients or stores of ticks: the next load makes the same tables and hashes."""
# ruff: noqa: F811

import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from loaders.engine.progress import Silent
from loaders.sandbox.tq.world import World
from loaders.ticks.open_store import open_store
from loaders.ticks.questdb import server
from loaders.ticks.store import IndexRow
from loaders.ticks.tables import MAIN_TICKS
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.postgres import open_warehouse
from quotemill.ticks.questdb_http import QuestdbHttp
from tests.faults.points import AROUND_PACKAGE, TQ_MAPPING
from tests.faults.scene import Finished, drive_load
from tests.integration.ticks.conftest import empty_questdb, questdb_folder  # noqa: F401
from tests.integration.ticks.servers import SMALL, address_of, start
from tests.integration.tq.bench import Bench, bench, build_schedule, count_days
from tests.integration.tq.conftest import made, mapped, questdb_url, schedule_dsn  # noqa: F401
from tests.integration.tq.test_minutes import MINUTES
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import DAYS, END, FIRST, INDEX, NEXT, world
from tests.tick_mirror import serve

LANDINGS = [f"symbol_day, {where}" for where in AROUND_PACKAGE]
# what is killed: the clients' processes, the load, QuestDB's server and the load
VICTIMS = {"client": "clients", "load": "self", "both": "questdb:{folder},self"}


class Kill(NamedTuple):
    """`day` is the day of the load at which it comes, from 1."""

    victim: str
    point: str = "answered"
    day: int = 1

    def __str__(self) -> str:
        return f"{self.victim}: {self.point}, day {self.day}"


FEW = [
    Kill("client", day=3),
    Kill("load", LANDINGS[1]),
    Kill("both", "sent, not applied", 4),
]


@pytest.mark.parametrize("kill", FEW, ids=str)
def test_what_a_kill_left_undone_the_next_load_does(
    kill: Kill,
    schedule_dsn: str,
    made: Bench,
    tmp_path: Path,
    questdb_folder: Path,
) -> None:
    """`made` is what an undisturbed load leaves."""
    expected = contents(made)
    environ = {"QUOTEMILL_QUESTDB_URL": serve(schedule_dsn)}
    with bench(world(), schedule_dsn, tmp_path / "killed", environ=environ) as killed:
        ended = die_at(killed, kill, environ, questdb_folder)
        assert ended.code == (0 if kill.victim == "client" else -signal.SIGKILL), ended.said
        if kill.victim == "both":
            assert server.find_running(questdb_folder) is None
            port = int(environ["QUOTEMILL_QUESTDB_URL"].rpartition(":")[2])
            same = SMALL.model_copy(update={"port": port})
            start(questdb_folder, same)
        landed = len(killed.rows(INDEX))
        assert (landed == DAYS) is (kill.victim == "client" or kill.point in LANDINGS[2:])
        stored = len(index_of(killed))
        asked_days(killed)
        result = killed.load("ticks")
        assert result.status == "succeeded", result
        assert asked_days(killed) == DAYS - stored
        assert contents(killed) == expected
        verification = verify(killed.settings, open_warehouse(killed.settings), Silent())
        assert (verification.days, verification.differences) == (DAYS, ())
        assert killed.load("ticks").total("rows_new") == asked_days(killed) == 0


VARIETIES = ("SHFE.cu", "SHFE.au", "DCE.m")
STRIKES = [
    Kill("load", "answered", 5),
    Kill("load", "written", 2),
    Kill("both", "sent, not applied", 2),
    Kill("load", "indexed", 2),
]


def test_days_of_several_varieties_are_whole_after_kills(
    new_database: Callable[..., str],
    tmp_path: Path,
    questdb_url: str,
    questdb_folder: Path,
) -> None:
    """Those of a trading day are written together; a kill costs what was not stored yet."""
    environ = {"QUOTEMILL_QUESTDB_URL": questdb_url}
    few = World(VARIETIES, first=FIRST, end=END, ticks_per_day=60, default_ticks=60)
    with bench(few, new_database(), tmp_path / "killed", environ=environ) as killed:
        assert killed.load().status == "succeeded"
        build_schedule(killed)
        asked_days(killed)
        for kill in STRIKES:
            ended = die_at(killed, kill, environ, questdb_folder)
            assert ended.code == -signal.SIGKILL, ended.said
            if kill.victim == "both":
                port = int(questdb_url.rpartition(":")[2])
                start(questdb_folder, SMALL.model_copy(update={"port": port}))
        assert killed.load("ticks").status == "succeeded"
        days = DAYS * len(VARIETIES)
        verification = verify(killed.settings, open_warehouse(killed.settings), Silent())
        assert (verification.days, verification.differences) == (days, ())
        assert verification.rows == days * 60
        killed.sandbox.set_clock(NEXT)
        assert killed.load().status == "succeeded"
        build_schedule(killed)
        before = transactions(questdb_folder)
        assert before <= DAYS + 2 * len(STRIKES), "a transaction for each day of all varieties"
        assert count_days(killed.load("ticks")) == len(VARIETIES)
        assert transactions(questdb_folder) == before + 1


# in the one that CI kills, the events are there and not yet the days that they cover
EVENTS = [f"main_event, {where}" for where in AROUND_PACKAGE]
MAPPINGS = [
    pytest.param(point, marks=() if point == EVENTS[2] else pytest.mark.soak)
    for point in (*TQ_MAPPING, *EVENTS)
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


@pytest.mark.parametrize("point", MAPPINGS)
def test_a_killed_load_of_main_contracts_is_completed_by_the_next(
    point: str, mapped: Bench, new_database: Callable[..., str], tmp_path: Path
) -> None:
    """`mapped` is what an undisturbed load leaves."""
    with bench(world(), new_database(), tmp_path / "killed") as killed:
        is_client_point = point == "main contracts asked for"
        kill = Kill("client" if is_client_point else "load", point)
        ended = die_at(killed, kill, {}, mode="mapping")
        assert ended.code == (0 if is_client_point else -signal.SIGKILL), ended.said
        landed = killed.rows("select count(*) > 0 from raw_tq.main_event")
        assert landed == [(is_client_point or point in EVENTS[2:],)]
        assert killed.load().status == "succeeded"
        for query in MAPPED:
            assert (rows := sorted(killed.rows(query), key=str)), query
            assert rows == sorted(mapped.rows(query), key=str), query
        again = killed.load()
        assert again.total("rows_new") + again.total("rows_changed") == 0


def die_at(
    killed: Bench,
    kill: Kill,
    environ: dict[str, str],
    folder: Path | None = None,
    mode: str = "ticks",
) -> Finished:
    """The load in a child process; it does not wait for a server that went away."""
    own = {"pace": 0, "backoff": 0, "concurrency": 1}
    env = environ | {"QUOTEMILL_QUESTDB__WAIT": "0.2"}
    env["FAULTS_VICTIM"] = VICTIMS[kill.victim].format(folder=folder)
    words = ("--mode", mode, "--as-of", killed.sandbox.clock.isoformat())
    return drive_load(killed, "tq", kill.point, kill.day, *words, own=own, **env)


def index_of(of: Bench) -> list[IndexRow]:
    with closing(open_store(of.settings, open_warehouse(of.settings))) as store:
        store.prepare()
        return sorted(store.index(), key=lambda row: row.trading_day)


def transactions(folder: Path) -> int:
    """How many the table of ticks has had."""
    with closing(QuestdbHttp(address_of(folder))) as http:
        query = f"select sequencerTxn as n from wal_tables() where name = '{MAIN_TICKS.name}'"
        return int(http.rows(query)[0]["n"])


def contents(of: Bench) -> tuple[Any, ...]:
    """The landed index, and index, schedule and ticks as readers of the store see them."""
    index = index_of(of)
    alike = [replace(row, run_id="", updated_at=row.first_ts) for row in index]
    with closing(open_store(of.settings, open_warehouse(of.settings))) as store:
        schedule = store.schedule(index[0].symbol).to_pylist()
        days = [store.read_day(r.key).to_pylist() for r in index]
    return of.rows(INDEX), alike, schedule, days, of.rows(MINUTES)
