"""The real bars and actions of the shared data, as a load of them leaves them, built."""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.conftest import shared_folder
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.conftest import NO_TESTS, UPDATE
from tests.integration.dbt.raw import action, land, security


def land_real_market(conn: psycopg.Connection, folder: Path) -> None:
    days: set[str] = set()
    for code in ("SH600000", "SZ000002"):
        with (folder / f"daily_{code}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        days.update(row["date"] for row in rows)
        land(conn, "security", [security(code.lower())])
        land(conn, "kline_daily", [_real_bar(code.lower(), row) for row in rows])
    with (folder / "daily_SH000001.csv").open(newline="") as file:
        days.update(row["date"] for row in csv.DictReader(file))
    land(conn, "trading_day", [{"trade_date": d, "source": "service"} for d in sorted(days)])
    with (folder / "corporate_actions.csv").open(newline="") as file:
        land(
            conn,
            "corporate_action",
            [
                action(
                    row["code"].lower(),
                    date.fromisoformat(row["ex_date"]),
                    cash_per10_yuan=row["cash_per10_yuan"],
                    bonus_total_per10=row["bonus_total_per10"],
                    rights_per10=row["rights_per10"],
                    rights_price_yuan=row["rights_price_yuan"],
                    adjusts_price=row["adjusts_price"] == "Y",
                )
                for row in csv.DictReader(file)
            ],
        )


def build_real_market(conn: psycopg.Connection, dbt: Dbt) -> None:
    land_real_market(conn, shared_folder("tdx"))
    dbt("build", *UPDATE[1:], "resource_type:snapshot", *NO_TESTS)


def _real_bar(code: str, row: dict[str, str]) -> dict[str, object]:
    return {
        "code": code,
        "trade_date": row["date"],
        **{p: int(Decimal(row[p]) * 1000) for p in ("open", "high", "low", "close")},
        "volume": int(row["volume_hands"]),
        "amount": int(Decimal(row["amount_yuan"]) * 1000),
    }


REAL_MARKET = pytest.mark.warehouse.with_args(Parsed.build_models, build_real_market)
