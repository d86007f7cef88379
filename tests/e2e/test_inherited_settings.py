"""What sessions inherit changes nothing that is loaded, built or read."""

from collections.abc import Callable
from pathlib import Path

import pytest

import quotemill
from loaders.engine.progress import Silent
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
from tests.integration.warehouse.test_sessions import Spoil, spoil_database, spoil_environment

MARKET = SyntheticMarket(codes=12, days=40, seed=5)


@pytest.fixture
def play(
    new_database: Callable[..., str],
    models_alone: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, Spoil], Rows]:
    """Load of every source, build and read in a new database; the rows that this makes."""

    def load_build_and_read(name: str, spoil: Spoil) -> Rows:
        dsn, home = new_database(DBT_DATABASE), tmp_path / name
        home.mkdir()
        spoil(dsn, monkeypatch)
        with tq.bench(world(), dsn, home / "tq") as futures:
            assert futures.load().status == "succeeded"
        with ib.bench(dsn, home / "ib") as options:
            for task, at in (("discover", "09:25:00"), ("snapshot", "09:30:05")):
                assert options.at(f"2026-11-19T{at}").load(task).exit_code == 0
        with bench(MARKET, dsn, home) as made:
            assert made.load().exit_code == 0
            built = build(made.settings, open_warehouse(made.settings), Silent)
            assert built is not None
            assert built.succeeded, built.failures
            rows = list_built_rows(made)
        with quotemill.open(dsn, home) as reader:
            for name, answer in (("bars", reader.klines()), ("names", reader.symbols())):
                rows[name] = [str(row) for row in answer.to_arrow().to_pylist()]
        return rows

    return load_build_and_read


@pytest.mark.soak
def test_hostile_settings_change_no_row(play: Callable[[str, Spoil], Rows]) -> None:
    plain = play("plain", lambda *_: None)
    assert plain["market.kline_daily_qfq"]
    assert plain["futures.main_daily"]
    assert plain["options.chain_intraday"]
    assert_same_rows(play("database", spoil_database), plain)
    assert_same_rows(play("environment", spoil_environment), plain)
