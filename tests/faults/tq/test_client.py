"""Each fault of the servers has its error, and the client leaves no process behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from loaders.engine.outcome import Stopped
from loaders.sandbox.tq.world import World
from loaders.tq.client.harvest import Harvest
from loaders.tq.client.process import PROGRAM
from loaders.tq.errors import (
    TqAnswerError,
    TqAuthError,
    TqBacktestsSpent,
    TqPermissionError,
    TqTimeout,
    TqTransport,
    UndescribedSymbol,
    UnknownSymbol,
)
from quotemill.errors import SettingsError
from tests.integration.tq_service.conftest import day_range

if TYPE_CHECKING:
    from loaders.sandbox.tq.service import TqSandbox

psutil = pytest.importorskip("psutil", reason="the extra tq is not installed")

DAYS = (date(2025, 11, 17), date(2025, 11, 18), date(2025, 11, 20))
CONTRACT = "SHFE.cu2601"
MakeHarvest = Callable[..., Harvest]


@pytest.fixture
def first(world: World) -> Iterator["TqSandbox"]:
    """A sandbox for one test."""
    from loaders.sandbox.tq.service import TqSandbox

    with TqSandbox(world) as running:
        yield running


def fetch(harvest: Harvest, world: World, days: tuple[date, ...] = DAYS) -> list[Path]:
    files = [harvest.ticks(CONTRACT, *day_range(world, day)) for day in days]
    return [file for file in files if file is not None]


def test_an_account_that_is_refused_is_named(first: "TqSandbox", own_harvest: MakeHarvest) -> None:
    wrong = own_harvest(first, {"password": "s3cret-of-mine"})
    with pytest.raises(TqAuthError, match="401") as refused:
        wrong.login()
    assert refused.value.exit_code == SettingsError.exit_code
    assert "QUOTEMILL_TQ__PASSWORD" in refused.value.hint
    assert "s3cret" not in f"{refused.value!r} {refused.value.hint} {wrong!r}"


def test_a_refused_connection_for_market_data_is_not_a_timeout(
    first: "TqSandbox", own_harvest: MakeHarvest
) -> None:
    first.faults.add("ws:status=403")
    with pytest.raises(TqAuthError, match=r"market .* 403"):
        own_harvest(first).login()


def test_without_the_professional_history_the_newest_ticks_are_left(
    first: "TqSandbox", own_harvest: MakeHarvest, world: World
) -> None:
    first.faults.add("permission")
    harvest = own_harvest(first)
    with pytest.raises(TqPermissionError, match="tq_dl") as refused:
        fetch(harvest, world)
    assert "latest ticks" in refused.value.hint
    assert not harvest.may("tq_dl")
    assert harvest.recent_ticks(CONTRACT, 5).num_rows == 5


def test_a_backtest_that_is_refused_is_no_timeout_and_costs_no_other_question(
    first: "TqSandbox", own_harvest: MakeHarvest
) -> None:
    """The client alone would try for a minute; a free account has three a day."""
    first.faults.add("backtests:after=2")
    harvest = own_harvest(first, {"timeout": 20})
    assert harvest.main_events("SHFE.cu", DAYS[0], DAYS[-1], "backtest").events
    with pytest.raises(TqBacktestsSpent) as refused:
        harvest.main_events("SHFE.cu", DAYS[0], DAYS[-1], "backtest")
    assert isinstance(refused.value, TqPermissionError)
    assert "tq.route = history" in refused.value.hint
    assert harvest.main_events("SHFE.cu", DAYS[0], DAYS[-1], "history").events
    # nor is it asked for again in the same load
    with pytest.raises(TqBacktestsSpent):
        harvest.main_events("SHFE.au", DAYS[0], DAYS[-1], "backtest")
    assert [entry.faults != () for entry in first.log if entry.what == "backtest"] == [False, True]


def test_symbols_that_the_servers_do_not_know_are_named(
    first: "TqSandbox", own_harvest: MakeHarvest, world: World
) -> None:
    """None of them costs the half minute that the client waits for a symbol."""
    harvest = own_harvest(first)
    first.faults.add(f"unknown:symbol={CONTRACT}")
    with pytest.raises(UnknownSymbol, match=r"SHFE.zz") as unknown:
        harvest.instruments(["SHFE.cu", "SHFE.zz"])
    assert unknown.value.symbols == ["SHFE.zz"]
    with pytest.raises(UnknownSymbol, match=CONTRACT):
        fetch(harvest, world)
    with pytest.raises(UnknownSymbol, match=r"SHFE.cu9901"):
        harvest.daily(["SHFE.cu2512", "SHFE.cu9901"], DAYS[0], DAYS[-1])
    first.faults.add("no-mains:variety=SHFE.au")
    first.faults.add("no-series:variety=SHFE.cu")
    for route in ("backtest", "history"):
        with pytest.raises(UnknownSymbol, match=r"SHFE.au"):
            harvest.main_events("SHFE.au", DAYS[0], DAYS[-1], route)
    # known and main, but not a bar of it
    with pytest.raises(TqAnswerError, match=r"KQ\.m@SHFE\.cu .* bar"):
        harvest.main_events("SHFE.cu", DAYS[0], DAYS[-1], "backtest")


def test_a_listed_contract_without_a_description_is_named_at_once(
    first: "TqSandbox", own_harvest: MakeHarvest, world: World
) -> None:
    """Any call of the client about it waits for ever; the others' answers come."""
    said: list[str] = []
    harvest = own_harvest(first, {"timeout": 10, "retries": 0}, report=said.append)
    first.faults.add(f"undescribed:symbol={CONTRACT}")
    listed = harvest.instruments(["SHFE.cu"])
    assert listed.undescribed == (CONTRACT,)
    assert CONTRACT not in {row["contract"] for row in listed.contracts}
    assert listed.sessions["SHFE.cu"]
    for ask in (
        lambda: fetch(harvest, world),
        lambda: harvest.recent_ticks(CONTRACT, 10),
        lambda: harvest.daily(["SHFE.cu2512", CONTRACT], DAYS[0], DAYS[-1]),
        lambda: harvest.minutes(CONTRACT, *day_range(world, DAYS[0])),
        lambda: harvest.settlements(CONTRACT, DAYS[0], DAYS[-1], days=3),
    ):
        with pytest.raises(UndescribedSymbol) as refused:
            ask()
        assert refused.value.symbols == [CONTRACT]
    answered = harvest.daily(["SHFE.cu2512"], DAYS[0], DAYS[-1])["trade_date"].to_pylist()
    assert answered == list(DAYS)
    first.faults.add("undescribed:symbol=KQ.m@SHFE.cu")
    with pytest.raises(UnknownSymbol, match=r"SHFE.cu"):
        harvest.main_events("SHFE.cu", DAYS[0], DAYS[-1], "backtest")
    assert not any("Retrying" in line for line in said)


def test_error_pages_are_errors_of_the_servers(
    first: "TqSandbox", own_harvest: MakeHarvest
) -> None:
    first.faults.add("holidays")
    first.faults.add("main-table")
    harvest = own_harvest(first)
    with pytest.raises(TqTransport, match="JSON"):
        harvest.calendar(*DAYS[:2])
    first.faults.clear()
    first.faults.add("main-table")
    with pytest.raises(TqTransport, match="404"):
        harvest.main_events("SHFE.cu", DAYS[0], DAYS[-1], "history")


@pytest.fixture
def real_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients are started as users have them, not as forks."""
    monkeypatch.setattr("loaders.tq.client.process.subprocess", subprocess)


@pytest.mark.usefixtures("real_clients")
def test_a_broken_request_is_repeated_by_a_new_process(
    first: "TqSandbox", own_harvest: MakeHarvest, world: World
) -> None:
    """A log-in that fails, a client killed in a question, and days that one process may not keep
    all: nothing is missing, nothing twice."""
    first.faults.add("auth:status=503:times=1")
    said: list[str] = []
    counts: list[int] = []
    killed: list[Any] = []

    def kill_once() -> bool:
        if len(counts) == 1 and not killed:
            killed.extend(processes_below(os.getpid()))
            (client,) = killed
            client.kill()
        return False

    tq = {"retries": 1, "days_per_process": 2}
    harvest = own_harvest(first, tq, report=said.append, stop=kill_once)
    for day in DAYS:
        (file,) = fetch(harvest, world, (day,))
        counts.append(pq.read_metadata(file).num_rows)
        first.faults.add("slow:seconds=1:times=1")  # so that no answer is there before the kill
    assert counts == [world.tick_count(CONTRACT, day) for day in DAYS]
    assert any("503" in line for line in said)
    assert any(re.search("ended .* ticks: .* -9", line) for line in said)
    assert processes_below(os.getpid()) == []


def test_a_server_that_never_answers_is_a_timeout(
    first: "TqSandbox", own_harvest: MakeHarvest, world: World
) -> None:
    first.faults.add(f"never-ready:contract={CONTRACT}:day={DAYS[0]}")
    with pytest.raises(TqTimeout, match=r" 5 s \(ticks\)"):
        fetch(own_harvest(first, {"timeout": 5}), world)


def test_a_broken_connection_costs_a_retry_and_no_row(
    first: "TqSandbox", own_harvest: MakeHarvest, world: World
) -> None:
    """The client waits half a minute and more, and after a clean close for good; we do not."""
    from loaders.sandbox.tq.service import TqSandbox

    with TqSandbox(world) as other, ThreadPoolExecutor() as both:
        futures = []
        for text, sandbox in (("disconnect:after=5", first), ("close:after=5", other)):
            sandbox.faults.add(text)
            harvest = own_harvest(sandbox, {"timeout": 10, "retries": 1})
            futures.append(both.submit(fetch, harvest, world))
        for future, sandbox in zip(futures, (first, other), strict=True):
            answers = future.result()
            assert [entry.what for entry in sandbox.log].count("drop") == 1
            for day, answer in zip(DAYS, answers, strict=True):
                truth = sandbox.tick_table(CONTRACT, day)
                assert pq.read_table(answer).select(truth.column_names).equals(truth)


def test_revised_ticks_are_fetched_again(
    first: "TqSandbox", own_harvest: MakeHarvest, world: World
) -> None:
    """The client's own cache would serve the old ones for good."""
    harvest, day = own_harvest(first), DAYS[:1]
    before = pq.read_table(fetch(harvest, world, day)[0])
    first.faults.add(f"revise-ticks:contract={CONTRACT}:day={day[0]}:by=3")
    after = pq.read_table(fetch(harvest, world, day)[0])
    truth = first.tick_table(CONTRACT, day[0])
    assert after.select(truth.column_names).equals(truth)
    assert before["last_price"].to_pylist() == [p - 30 for p in truth["last_price"].to_pylist()]


def processes_below(pid: int) -> list[Any]:
    """Processes of the client, without those that a client has just forked."""
    processes: dict[int, Any] = {}
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if PROGRAM in process.cmdline() and process.ppid() not in processes:
                processes[process.pid] = process
    return list(processes.values())


@pytest.mark.usefixtures("real_clients")
def test_a_stop_kills_the_client_and_secrets_are_not_in_sight(
    first: "TqSandbox", own_harvest: MakeHarvest, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_DATABASE_URL", "postgresql://u:p4ss@h/d")
    first.faults.add("slow:seconds=60")
    stopped, seen = threading.Event(), list[Any]()

    def stop() -> bool:
        # once the client waits for market data, some seconds after its start
        if not seen and any(entry.what == "connect" for entry in list(first.log)):
            seen.extend(processes_below(os.getpid()))
            (process,) = seen
            shown = f"{process.cmdline()} {process.environ()}"
            assert not any(word in shown for word in (first.settings()["password"], "p4ss"))
            stopped.set()
        return stopped.is_set()

    with pytest.raises(Stopped):
        fetch(own_harvest(first, stop=stop), world)
    assert seen
    assert not any(process.is_running() for process in seen)


def test_a_killed_parent_leaves_no_client(first: "TqSandbox", tmp_path: Path) -> None:
    first.faults.add("slow:seconds=60")
    program = (
        "import sys, pathlib, json\n"
        "from loaders.tq.settings import TqSettings\n"
        "from loaders.tq.client.harvest import Harvest\n"
        "given = json.loads(sys.stdin.readline())\n"
        "Harvest(TqSettings(**given), pathlib.Path(sys.argv[1])).login()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")], stdin=subprocess.PIPE
    )
    assert parent.stdin is not None
    parent.stdin.write(json.dumps(first.settings()).encode() + b"\n")
    parent.stdin.close()
    while not any(entry.what == "connect" for entry in list(first.log)):
        assert parent.poll() is None
        threading.Event().wait(0.05)
    clients = processes_below(parent.pid)
    assert len(clients) == 1
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(clients, timeout=60)
    assert alive == []
