"""quotemill, installed from its wheel, in a folder whose modules are called as parts of it."""

import json
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.homes import clean_environ
from tests.integration.dbt.price_market import CODE, DAYS, PRICE_MARKET
from tests.integration.dbt.raw_futures import VARIETY
from tests.wheels import install_reader, install_wheel

pytestmark = PRICE_MARKET

# reads all that a reader has, then imports every module; argv: URL, home, code, day, variety
READ = """
import importlib, json, pkgutil, sys
import quotemill

url, home, code, day, variety = sys.argv[1:]
with quotemill.open(url=url, home=home) as market:
    rows = {
        "days": market.klines(code, adjust="qfq"),
        "as of": market.klines(code, adjust="hfq", as_of=day),
        "minutes": market.klines(code, freq="5m", adjust="qfq"),
        "sql": market.sql("select count(*) as n from market.kline_daily where code = %s", [code]),
        "symbols": market.symbols(),
        "calendar": market.calendar(day, day),
        "actions": market.corporate_actions(code),
        "mains": market.main_contracts(variety),
    }
    for others in (market.ticks, market.daily_basic, market.changes, market.futures_ticks,
                   market.option_chain):
        try:
            others(*{"futures_ticks": (variety,), "option_chain": ("AAPL", day)}.get(
                others.__name__, ()))
        except quotemill.Error:  # of tables that this market does not have
            pass
    counts = {name: table.to_arrow().num_rows for name, table in rows.items()}
for found in pkgutil.walk_packages(quotemill.__path__, "quotemill."):
    if found.name != "quotemill.__main__":
        importlib.import_module(found.name)
ours = [name for name in sys.modules if name.partition(".")[0] in ("loaders", "orchestration")]
import loaders, orchestration, macros, seeds
owners = {module.OWNER for module in (loaders, orchestration, macros, seeds)}
print(json.dumps({"counts": counts, "ours": ours, "owners": list(owners)}))
"""


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the interpreter and the commands of an environment with the wheel."""
    return install_wheel(wheel, tmp_path_factory.mktemp("venv")).parent


@pytest.fixture(scope="module")
def reader(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel and what it needs without any extra."""
    return install_reader(wheel, tmp_path_factory.mktemp("reading"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of notebooks with a package and modules of its user."""
    folder = tmp_path / "notebooks"
    for name in ("loaders/__init__.py", "orchestration.py", "macros.py", "seeds.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("OWNER = 'user'\n")
    return folder


def run(folder: Path, *command: str | Path) -> str:
    environ = clean_environ() | {"QUOTEMILL_HOME": str(folder.parent), "COLUMNS": "100"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_reading_imports_no_module_of_the_working_folder(
    reader: Path, folder: Path, warehouse: Warehouse
) -> None:
    arguments = (warehouse.url, str(folder.parent), CODE, str(DAYS[-1]), VARIETY)
    answer = json.loads(run(folder, reader, "-c", READ, *arguments))
    assert (answer["ours"], answer["owners"]) == ([], ["user"])
    assert answer["counts"] == {
        "days": len(DAYS),
        "as of": len(DAYS),
        "minutes": 48,
        "sql": 1,
        "symbols": 2,
        "calendar": 1,
        "actions": 1,
        "mains": len(DAYS),
    }


def test_commands_run_in_a_folder_with_modules_of_their_names(
    programs: Path, folder: Path, warehouse: Warehouse
) -> None:
    url = f"QUOTEMILL_WAREHOUSE_URL={warehouse.url}"
    export = ["env", url, programs / "quotemill", "export", "kline_daily", "bars"]
    run(folder, *export, "--to", "parquet", "--codes", CODE)
    bars = pq.ParquetDataset(folder / "bars" / "kline_daily", partitioning=None).read()
    assert bars.num_rows == len(DAYS)


def test_help_comes_in_a_folder_with_modules_of_their_names(programs: Path, folder: Path) -> None:
    python = [programs / "python", "-m", "quotemill"]
    for command in ([programs / "quotemill"], python, [programs / "loaders"]):
        assert "Common" in run(folder, *command, "--help")
