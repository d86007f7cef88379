"""Nights on which a landed table of one source cannot be read: the others get theirs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from loaders.engine.progress import Silent
from loaders.settings import Settings
from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from orchestration import nightly
from orchestration.run import build
from orchestration.run.stages import RunResult
from tests.bench import settings_at
from tests.conftest import DBT_DATABASE
from tests.integration.dbt.option_days import AAPL
from tests.integration.dbt.raw import bar, land, security, trading_day, weekdays
from tests.integration.dbt.raw_futures import Harvest, contract, evening_before, land_harvests
from tests.integration.dbt.raw_futures import land_days as land_futures_days
from tests.integration.dbt.raw_options import (
    Session,
    land_sessions,
)

pytestmark = pytest.mark.usefixtures("quick_builds")
DAYS = weekdays(date(2026, 11, 2), 4)
AS_OF = datetime.fromisoformat("2026-11-30 23:00+08:00")
CODE, VARIETY, MAIN = "sh600000", "SHFE.cu", "SHFE.cu2612"
NEWEST = {
    "tdx": "select max(trade_date) from market.kline_daily_qfq",
    "tq": "select max(trading_day) from futures.main_schedule",
    "ib": "select max(trade_date) from options.chain_daily_clean",
}
# a table of each source that many models read, and models that cannot be made without it
UNREADABLE = {
    "tdx": ("raw_tdx.kline_daily", "kline_daily_qfq"),
    "tq": ("raw_tq.trading_day", "main_schedule"),
    "ib": ("raw_ib.session", "chain_daily_clean"),
}


def land_sources(conn: psycopg.Connection, number: int) -> None:
    """Land a day of each source."""
    day = DAYS[number]
    land(conn, "security", [security(CODE)])
    land(conn, "trading_day", [trading_day(day)])
    land(conn, "kline_daily", [bar(CODE, day, "10")])
    land_futures_days(conn, [day])
    land(conn, "raw_tq.contract", [contract(MAIN, VARIETY, 2026, 12)])
    opening = (DAYS[0], evening_before(DAYS[0]), MAIN)
    land_harvests(conn, [Harvest(VARIETY, DAYS[0], day, [opening])])
    land_sessions(conn, [Session(day)])
    Session(day).land(conn, AAPL, 100)


@pytest.fixture(scope="module")
def role(server_url: str) -> str:
    """A role that is no superuser: privileges count for it."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute("create role nightly login")
    return "nightly"  # it goes with the server


@pytest.fixture
def dsn(role: str, server_url: str, filled_database: Callable[..., str], tmp_path: Path) -> str:
    """The superuser's URL of a built warehouse of that role, with two days of all sources."""

    def give(url: str) -> str:
        with psycopg.connect(server_url, autocommit=True) as conn:
            name = conninfo_to_dict(url)["dbname"]
            conn.execute(f'alter database "{name}" owner to {role}'.encode())
        return url

    def fill(url: str) -> None:
        settings = settings_of(give(url), role, tmp_path)
        warehouse = open_warehouse(settings)
        prepare(warehouse, landed_tables())
        with warehouse.connect(autocommit=True) as conn:
            land_sources(conn, 0)
            land_sources(conn, 1)
            conn.execute(
                "insert into ops.ingestion_state (source, dataset, key) "
                "values ('ib', 'session', 'NYSE')"
            )
        built = build.build(settings, warehouse, Silent)
        assert built is not None
        assert built.succeeded, built.failures

    return give(filled_database("nights", fill, DBT_DATABASE))


def settings_of(dsn: str, role: str, home: Path) -> Settings:
    return settings_at(dsn.replace("://postgres@", f"://{role}@"), home)


def run(settings: Settings) -> RunResult:
    def silent() -> AbstractContextManager[Silent]:
        return nullcontext(Silent())

    return nightly.run(
        settings,
        [*NEWEST],
        silent,
        Silent(),
        as_of=AS_OF,
        only=["build", "qa", "alerts", "report"],
    )


@pytest.mark.soak
@pytest.mark.parametrize("source", ["tdx", "ib", "tq"])
def test_a_table_that_cannot_be_read_costs_no_other_source_any_night(
    dsn: str, role: str, tmp_path: Path, source: str
) -> None:
    table, model = UNREADABLE[source]
    settings = settings_of(dsn, role, tmp_path)
    with psycopg.connect(dsn, autocommit=True) as conn:

        def read(query: str) -> set[Any]:
            return {value for (value,) in conn.execute(query.encode())}

        conn.execute(f"set quotemill.as_of = '{AS_OF}'".encode())
        run(settings)  # reports what is wrong with so small a market
        conn.execute(f"revoke select on {table} from {role}".encode())
        for number in (2, 3):
            land_sources(conn, number)
            if number == 3:  # an error of a source that can be read
                land(conn, "kline_daily", [bar(CODE, DAYS[3], "10", high=1)])
            night = run(settings)

            assert night.exit_code == 1
            assert night.build is not None
            assert model in night.build.unbuilt
            assert "permission denied" in night.build.failures
            newest = {name: read(query) for name, query in NEWEST.items()}
            last = {name: DAYS[1 if name == source else number] for name in NEWEST}
            assert newest == {name: {day} for name, day in last.items()}, number
            assert night.judgement is not None
            assert night.judgement.unread
            if number == 3 and source != "tdx":
                assert night.judgement.new["error"] == 1
            assert read("select source from qa.freshness") >= {*NEWEST} - {source}
            assert [(stage.name, stage.exit_code) for stage in night.stages] == [
                ("alerts", 0),
                ("report", 0),
            ]
            sent = read("select cause from ops.alerts where recovered_at is null")
            assert sent >= {"build", "qa"}
