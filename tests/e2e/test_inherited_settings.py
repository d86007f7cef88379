"""What sessions inherit changes nothing that is loaded, built or read."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import quotemill
from loaders.sandbox.world.market import SyntheticMarket
from loaders.warehouse.postgres import open_warehouse
from orchestration.run.build import build
from tests.conftest import DBT_DATABASE
from tests.e2e.editions.built_rows import assert_same_rows, list_built_rows
from tests.e2e.editions.test_builds import Rows
from tests.integration.ib import bench as ib
from tests.integration.tdx_load.bench import bench
from tests.integration.tq import bench as tq
from tests.integration.tq.worlds import world

MARKET = SyntheticMarket(codes=12, days=40, seed=5)
# of settings that are neither a switch nor a choice; the last is of PostgreSQL 17
VALUES = {
    "DateStyle": "German, DMY",
    "TimeZone": "America/New_York",
    "backslash_quote": "off",
    "client_encoding": "LATIN1",
    "extra_float_digits": "-10",
    "search_path": "someone, pg_catalog",
    "statement_timeout": "20s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
    "idle_session_timeout": "5s",
    "transaction_timeout": "20s",
}
# the first forbids writes, and is named where it refuses them; the others are of one transaction
LEFT = [
    "default_transaction_read_only",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
]
ENVIRONMENT = {
    "PGCLIENTENCODING": "client_encoding",
    "PGDATESTYLE": "DateStyle",
    "PGTZ": "TimeZone",
}


def choose_values(conn: psycopg.Connection) -> dict[str, str]:
    """Another value than its own for each setting by which a user may change a result."""
    settings = conn.execute(
        "select name, setting, case vartype when 'bool' then '{on,off}' else enumvals end "
        "from pg_settings where context = 'user' and not name = any(%s) and (category like "
        "'Client Connection Defaults /%%' or category like 'Version and Platform Compatibility /%%')",
        (LEFT,),
    ).fetchall()
    others = {
        name: next((choice for choice in choices or () if choice != value), None)
        for name, value, choices in settings
    }
    return {name: value for name, other in others.items() if (value := VALUES.get(name, other))}


@pytest.fixture
def play(
    new_database: Callable[..., str], models_alone: None, tmp_path: Path
) -> Callable[[str, Callable[[str], None]], Rows]:
    """Load of every source, build and read in a new database; the rows that this makes."""

    def load_build_and_read(name: str, prepare: Callable[[str], None]) -> Rows:
        dsn, home = new_database(DBT_DATABASE), tmp_path / name
        home.mkdir()
        prepare(dsn)
        with tq.bench(world(), dsn, home / "tq") as futures:
            assert futures.load().status == "succeeded"
        with ib.bench(dsn, home / "ib") as options:
            for task, at in (("discover", "09:25:00"), ("snapshot", "09:30:05")):
                assert options.at(f"2026-11-19T{at}").load(task).exit_code == 0
        with bench(MARKET, dsn, home) as made:
            assert made.load().exit_code == 0
            built = build(made.settings, open_warehouse(made.settings), lambda _: None)
            assert built is not None
            assert built.succeeded, built.failures
            rows = list_built_rows(made)
        with quotemill.open(dsn, home) as reader:
            for name, answer in (("bars", reader.klines()), ("names", reader.symbols())):
                rows[name] = [str(row) for row in answer.to_arrow().to_pylist()]
        return rows

    return load_build_and_read


def test_hostile_settings_change_no_row(
    play: Callable[[str, Callable[[str], None]], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil_database(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(
                "create schema someone; create function someone.round(numeric, integer) "
                "returns numeric language sql as 'select -1::numeric'"
            )
            alter = sql.SQL("alter database {} set {} = {}")
            for name, value in choose_values(conn).items():
                names = sql.Identifier(conn.info.dbname), sql.Identifier(name)
                conn.execute(alter.format(*names, sql.Literal(value)))

    def spoil_environment(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            values = choose_values(conn)
        assert len(values) > 25
        options = (f"-c{name}={value}".replace(" ", "\\ ") for name, value in values.items())
        monkeypatch.setenv("PGOPTIONS", " ".join(options))
        for variable, name in ENVIRONMENT.items():
            monkeypatch.setenv(variable, values[name])

    plain = play("plain", lambda _: None)
    assert plain["market.kline_daily_qfq"]
    assert plain["futures.main_daily"]
    assert plain["options.chain_intraday"]
    assert_same_rows(play("database", spoil_database), plain)
    assert_same_rows(play("environment", spoil_environment), plain)
