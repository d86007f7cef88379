"""All is lost, a backup comes back, and the next load and build continue."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.progress import Silent
from loaders.sandbox.world.actions import actions_csv
from loaders.sandbox.world.market import SyntheticMarket
from loaders.warehouse.postgres import open_warehouse
from orchestration.backup.write import back_up
from orchestration.run import build
from orchestration.run.build_result import BuildResult
from tests.conftest import DBT_DATABASE, ROOT
from tests.e2e.commands import Place
from tests.faults.scene import assert_same, facts
from tests.integration.tdx_load.bench import Bench, bench

pytestmark = pytest.mark.usefixtures("models_alone")
MARKET = SyntheticMarket(codes=12, days=40, seed=5)
DAYS = [day for day in MARKET.days if day <= MARKET.end.date()]
MARTS = ("trading_calendar", "adjustment_segments", "kline_daily_qfq")


def night(made: Bench, day: date) -> None:
    """Load a day, and build what is asked for here."""
    made.sandbox.set_clock(day)
    assert made.load().exit_code == 0
    make(made)


def make(made: Bench, *arguments: str) -> BuildResult:
    chosen = ["--select", "+kline_daily_qfq", *arguments]
    built = build.build(made.settings, open_warehouse(made.settings), Silent, arguments=chosen)
    assert built is not None
    assert built.succeeded
    return built


def everything(made: Bench) -> dict[str, list[tuple[Any, ...]]]:
    url = made.settings.warehouse_url
    assert url is not None
    marts = {name: made.rows(f"select * from market.{name}") for name in MARTS}
    return facts(url.get_secret_value()) | marts


def test_a_restored_warehouse_has_the_same_tables_after_a_run(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    backups, actions = tmp_path / "backups", tmp_path / "actions.csv"
    actions.write_text(actions_csv(MARKET.all_actions()), "utf-8")
    given = {"corporate_actions": str(actions)}
    with bench(MARKET, new_database(DBT_DATABASE), home(tmp_path, "home"), **given) as made:
        night(made, DAYS[-3])
        back_up(made.settings, open_warehouse(made.settings), lambda _: None, folder=backups)
        night(made, DAYS[-1])
        undisturbed = everything(made)

    # another database of the same name, a home without anything
    dsn = new_database(DBT_DATABASE)
    place = Place(tmp_path, home(tmp_path, "another"), {"QUOTEMILL_WAREHOUSE_URL": dsn})
    restored = place.inside("quotemill", "backup", "restore", "--folder", str(backups))
    assert restored.returncode == 0, restored.stderr
    assert "`quotemill run`" in restored.stderr
    with bench(MARKET, dsn, place.home, **given) as made:
        assert made.rows("select max(trade_date) from market.kline_daily_qfq") == [(DAYS[-3],)]
        # nothing has changed: only the seeds are written again
        again = make(made, "--full-refresh")
        seeds = [name for name in again.built if (ROOT / "seeds" / f"{name}.csv").is_file()]
        counts = [
            made.rows(f"select count(*) from quotemill_intermediate.{name}")[0][0] for name in seeds
        ]
        assert again.rows_written == sum(counts) > 0
        night(made, DAYS[-1])
        assert_same(everything(made), undisturbed)
        # what of the first night a load from nothing would have read again
        assert made.rows("select count(*) from ops.ingestion_jobs") == [(2,)]


def home(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder
