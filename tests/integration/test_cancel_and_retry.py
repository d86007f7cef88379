"""Cancel, retry and resume by the same commands, whatever the source."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import loaders.cli.jobs
import loaders.cli.load
import orchestration.cli.loads
from loaders.engine.load import Load
from loaders.engine.progress import Silent
from loaders.sandbox.tq.world import World
from loaders.sandbox.world.market import SyntheticMarket
from loaders.sources import landed_tables
from loaders.warehouse import lock
from loaders.warehouse.migrate import prepare
from orchestration.run import build
from quotemill.warehouse.postgres import Warehouse
from tests.e2e.commands import Place
from tests.faults.scene import wait_until
from tests.integration.ib import bench as ib
from tests.integration.tdx_load import bench as tdx
from tests.integration.tq import bench as tq

COMMANDS = (loaders.cli.load, loaders.cli.jobs, orchestration.cli.loads)


@dataclass
class CancelsOnce(Silent):
    """Runs a command at the first answer of a dataset, and waits until the load has heard of it."""

    dataset: str
    command: Callable[[Load], Any]
    loads: list[Load] = field(default_factory=list)
    done: list[Any] = field(default_factory=list)

    def advance(self, name: str, count: int) -> None:
        if name == self.dataset and not self.done:
            [load] = self.loads
            self.done.append(self.command(load))
            wait_until("the cancel is seen", load.watch.asked)


@dataclass
class Case:
    """How a source is served and asked, where it is stopped, and what is there in the end."""

    open: Callable[[str, Path], AbstractContextManager[Any]]
    request: dict[str, Any]
    dataset: str
    facts: str


def served_tdx(dsn: str, home: Path) -> AbstractContextManager[tdx.Bench]:
    return tdx.bench(SyntheticMarket(codes=12, days=60, seed=3), dsn, home)


def served_tq(dsn: str, home: Path) -> AbstractContextManager[tq.Bench]:
    world = World(
        ("SHFE.cu", "CFFEX.IF"), first=date(2025, 10, 13), end=date(2025, 10, 24), ticks_per_day=200
    )
    return tq.bench(world, dsn, home)


CASES = {
    "tdx": Case(
        served_tdx,
        {},
        "kline_daily",
        "select code, count(*) from raw_tdx.kline_daily group by 1 order by 1",
    ),
    "tq": Case(
        served_tq,
        {"mode": "mapping"},
        "main_events",
        "select variety, route, count(*) from raw_tq.main_event group by 1, 2 order by 1, 2",
    ),
    "ib": Case(
        lambda dsn, home: ib.bench(dsn, home, clock="2026-11-19T09:25:00"),
        {"task": "discover"},
        "session_contract",
        "select c.symbol, count(*) from raw_ib.session_contract as s "
        "inner join raw_ib.contract as c using (conid) group by 1 order by 1",
    ),
}


@pytest.fixture(params=CASES)
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_case(
    filled_database: Callable[..., str], tmp_path: Path, source: str
) -> Callable[[str], AbstractContextManager[Any]]:
    def fill(dsn: str) -> None:
        prepare(Warehouse(dsn, "test", False, "market", None, "test", tmp_path), landed_tables())

    def open_(name: str) -> AbstractContextManager[Any]:
        home = tmp_path / name
        home.mkdir()
        return CASES[source].open(filled_database("prepared", fill), home)

    return open_


@pytest.mark.long
def test_a_load_is_cancelled_and_retried_by_its_number(
    source: str,
    open_case: Callable[[str], AbstractContextManager[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES[source]
    monkeypatch.setattr(lock, "WATCH_POLL", 0.01)
    with open_case("undisturbed") as made:
        assert made.load(**case.request).status == "succeeded"
        expected = made.rows(case.facts)
    assert len(expected) > 1
    with open_case("home") as made:
        for module in COMMANDS:
            monkeypatch.setattr(module, "load_settings", lambda: made.settings)
        # what a build makes of it is no matter here
        monkeypatch.setattr(build, "build", lambda *_, **__: None)
        place = Place(tmp_path, tmp_path / "home")
        # the gateway's own clock is that of its source
        now = () if source == "ib" else ("--as-of", made.sandbox.clock.isoformat())
        heard = CancelsOnce(
            case.dataset,
            lambda load: place.inside("quotemill", "cancel", source, str(load.job_id), "--json"),
        )
        made.heard = heard
        stopped = made.load(**case.request, on_start=heard.loads.append)
        job = stopped.job_id
        assert (stopped.status, stopped.exit_code) == ("cancelled", 6)
        assert json.loads(heard.done[0].stdout) == {"job_id": job}
        assert made.rows(case.facts) != expected
        assert place.inside("quotemill", "cancel", source).returncode == 2  # none runs

        again = place.inside("quotemill", "retry", source, str(job), *now, "--json")
        assert again.returncode == 0, again.stderr
        loaded = json.loads(again.stdout)["load"]
        assert (loaded["source"], loaded["status"]) == (source, "succeeded")
        assert made.rows(case.facts) == expected
        made_good = "select retry_of, status from ops.ingestion_jobs where job_id = %s"
        assert made.rows(made_good, loaded["job_id"]) == [(job, "succeeded")]

        load_metrics = (
            "select name, value::bigint from ops.metrics where stage = 'load' and source = %s"
        )
        figures = dict(made.rows(load_metrics, source))
        assert (figures["failed_keys"], figures["exit_code"]) == (0, 0)
        assert figures["requests"] > 0
        assert ("bytes" in figures) == (source != "tq")

        nothing = place.inside("loaders", "retry", source, str(loaded["job_id"]), *now, "--json")
        assert nothing.returncode == 0, nothing.stderr
        assert json.loads(nothing.stdout)["status"] == "skipped"
        unknown = place.inside("loaders", "retry", source, "999")
        assert (unknown.returncode, f"load 999 of {source}" in unknown.stderr) == (2, True)
