"""From real files to adjusted prices by the commands alone: a load, then plain dbt."""

import csv
from decimal import Decimal
from pathlib import Path

import psycopg

from tests.checkout import own_checkout
from tests.dbt_parse import Parsed
from tests.e2e.commands import Place, sandbox
from tests.homes import new_home
from tests.real_bars import read_untraded_days

CODES = ("sh600000", "sz000002")
PRICES = ("open", "high", "low", "close")


def test_a_load_and_plain_dbt_give_the_expected_prices_to_the_cent(
    real_tdx_data: Path, tmp_path: Path, parsed: Parsed
) -> None:
    project = own_checkout(tmp_path)
    with new_home() as home, sandbox("--data", str(real_tdx_data)) as url:
        place = Place(
            tmp_path,
            home,
            {
                "QUOTEMILL_TDX__BASE_URL": url,
                "QUOTEMILL_TDX__CORPORATE_ACTIONS": str(real_tdx_data / "corporate_actions.csv"),
            },
        )
        load = place("loaders", "run", "tdx", "--codes", ",".join(CODES))
        assert load.returncode == 0, load.stderr
        parsed.adopt(project / "target", project)
        # no variable of ours is set for dbt: the load has left it a profile
        plain = Place(project, home)
        environment = plain.environment()
        assert not any(name.startswith(("QUOTEMILL_TDX", "DBT_")) for name in environment)
        build = plain.forked("dbt", "build", "--exclude-resource-type", "unit_test")
        assert build.returncode == 0, build.stdout
        address = place("quotemill", "warehouse", "url").stdout.strip()
        with psycopg.connect(address) as conn:
            for code in CODES:
                assert stored(conn, code) == expected(real_tdx_data, code)


def stored(conn: psycopg.Connection, code: str) -> dict[str, tuple[Decimal, ...]]:
    rows = conn.execute(
        "select trade_date::text, open, high, low, close from market.kline_daily_qfq "
        "where code = %s",
        (code,),
    )
    return {day: tuple(prices) for day, *prices in rows}


def expected(folder: Path, code: str) -> dict[str, tuple[Decimal, ...]]:
    untraded = read_untraded_days(folder, code.upper())
    with (folder / f"expected_qfq_{code.upper()}.csv").open(newline="") as file:
        return {
            row["date"]: tuple(Decimal(row[f"qfq_{name}"]) for name in PRICES)
            for row in csv.DictReader(file)
            if row["date"] not in untraded
        }
