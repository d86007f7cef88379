"""Two homes in one checkout: what each command of ours writes lands in its own warehouse."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from loaders.engine.progress import Silent
from loaders.loads import prepare_warehouse
from loaders.settings import Settings, load_settings
from orchestration.run import build
from quotemill.warehouse.postgres import Warehouse
from tests.bench import warehouse_url
from tests.conftest import DBT_DATABASE
from tests.dbt_parse import Parsed
from tests.integration.dbt.raw import bar, land, trading_day

MODELS = ["--select", "+trading_calendar,resource_type:model"]
DAYS = {"one": date(2024, 1, 2), "two": date(2024, 1, 3)}


def home(name: str, folder: Path, dsn: str) -> tuple[Settings, Warehouse]:
    """A home with a warehouse in which one day of its own was landed."""
    (folder / name).mkdir()
    environ = {"QUOTEMILL_HOME": str(folder / name), "QUOTEMILL_WAREHOUSE_URL": dsn}
    settings = load_settings(environ, cwd=folder)
    warehouse = prepare_warehouse(settings, Silent())
    with warehouse.connect() as conn:
        land(conn, "trading_day", [trading_day(DAYS[name])])
        land(conn, "kline_daily", [bar("sh600000", DAYS[name], "10")])
    return settings, warehouse


def days(warehouse: Warehouse) -> list[date]:
    with warehouse.connect() as conn:
        query = "select trade_date from market.trading_calendar order by 1"
        return [day for (day,) in conn.execute(query)]


@pytest.mark.soak
def test_interleaved_builds_of_two_homes_each_land_in_their_own_warehouse(
    tmp_path: Path,
    new_database: Callable[..., str],
    parsed: Parsed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dbt.cli.main import dbtRunner

    first_home, first = home("one", tmp_path, new_database(DBT_DATABASE))
    shutil.copytree(parsed.target, build.dbt_target(first_home, first))
    two, second = home("two", tmp_path, new_database())
    theirs = os.environ | {
        "QUOTEMILL_HOME": str(two.home),
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(two),
    }
    command = "from orchestration.cli import main; main()"
    invoke = dbtRunner.invoke

    def after_the_other(self: dbtRunner, arguments: list[str]) -> object:
        # the whole build of the other home comes between our profile and our dbt
        subprocess.run(
            [sys.executable, "-c", command, "dbt", "run", *MODELS],
            env=theirs,
            check=True,
            capture_output=True,
        )
        return invoke(self, arguments)

    monkeypatch.setattr(dbtRunner, "invoke", after_the_other)
    built = build.build(first_home, first, Silent, arguments=MODELS)

    assert built is not None
    assert built.succeeded
    assert days(first) == [DAYS["one"]]
    assert days(second) == [DAYS["two"]]


def test_a_command_of_ours_never_reads_the_profile_of_plain_dbt(
    tmp_path: Path, new_database: Callable[..., str]
) -> None:
    settings, warehouse = home("one", tmp_path, new_database("market data"))
    models = ["run", *MODELS]
    shared = Path(os.environ["DBT_PROFILES_DIR"]) / "profiles.yml"
    assert "dbname: market data" in shared.read_text()
    shared.write_text("nonsense: [")

    assert build.invoke(settings, warehouse, models, quiet=True).success
    assert days(warehouse) == [DAYS["one"]]
    with warehouse.connect() as conn:
        land(conn, "trading_day", [trading_day(DAYS["two"])])
    assert build.invoke(settings, warehouse, models, quiet=True).success

    assert days(warehouse) == [DAYS["one"], DAYS["two"]]
    assert shared.read_text() == "nonsense: ["


def test_two_market_schemas_of_one_database_have_targets_of_their_own(tmp_path: Path) -> None:
    settings = load_settings({"QUOTEMILL_HOME": str(tmp_path)}, cwd=tmp_path)

    def target(schema: str) -> Path:
        made = Warehouse("postgresql://h/d", "test", False, schema, None, "label", tmp_path)
        return build.dbt_target(settings, made)

    assert target("market") != target("cn_market")
    assert target("market").parent == tmp_path / "dbt"
