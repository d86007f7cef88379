"""Tables of prices as the contracts of the models declare them, and a console over them."""

import functools
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.integration.console.conftest import Caller, Open

MODELS = Path(__file__).parents[3] / "dbt_project" / "models"
DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(300)]
CODE = "sh600000"
TABLES = {
    "market": "symbol_dim trading_calendar corporate_actions kline_daily kline_daily_qfq "
    "kline_weekly_qfq kline_5m index_kline_daily sectors sector_members",
    "futures": "main_schedule main_daily main_1m tick_coverage",
    "options": "chain_daily_clean chain_intraday",
}


def make_tables(conn: psycopg.Connection) -> None:
    """Empty tables of the contracts of the models."""
    conn.execute(_statements())


@functools.cache
def _statements() -> bytes:
    statements = []
    for schema, names in TABLES.items():
        statements.append(f"create schema if not exists {schema}")
        for path in MODELS.glob(f"*/{schema}/_*_models.yml"):
            for model in yaml.load(path.read_bytes(), yaml.CSafeLoader).get("models", []):
                if model["name"] in names.split():
                    columns = ", ".join(f"{c['name']} {c['data_type']}" for c in model["columns"])
                    statements.append(f"create table {schema}.{model['name']} ({columns})")
    return "; ".join(statements).encode()


def insert(conn: psycopg.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    values = ", ".join(f"%({name})s" for name in names)
    query = f"insert into {table} ({', '.join(names)}) values ({values})"
    conn.cursor().executemany(query.encode(), rows)


@pytest.fixture
def caller(open_console: Open, prepared_dsn: str) -> Caller:
    """A browser at a console whose warehouse has bars, rolls and chains."""
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        make_tables(conn)
        kind = {"instrument_type": "stock"}
        codes = (CODE, "sh600004")
        insert(conn, "market.symbol_dim", [{"code": c, "name": c.upper()} | kind for c in codes])
        bars = [
            {"code": CODE, "trade_date": day, "open": 10, "high": 12, "low": 9, "is_final": True}
            | {"close": Decimal(1000 + n) / 100, "volume_shares": n, "amount_cny": 10 * n}
            for n, day in enumerate(DAYS)
        ]
        for table in ("kline_daily", "kline_daily_qfq", "kline_weekly_qfq"):
            insert(conn, f"market.{table}", bars)
        ends = [row | {"bar_end": f"{row['trade_date']} 03:00+00"} for row in bars]
        insert(conn, "market.kline_5m", ends)
        action = {"code": CODE, "ex_date": DAYS[250], "source": "csv", "seq": 1}
        action |= {"cash_per10_yuan": Decimal("1.50"), "is_active": True, "adjusts_price": True}
        insert(conn, "market.corporate_actions", [action])
        index = {"code": "sh000001", "trade_date": DAYS[0], "close": 3000, "is_final": True}
        insert(conn, "market.index_kline_daily", [index])
        schedule = [
            {"variety": "SHFE.au", "trading_day": day, "segment_id": 1 + (n >= 200)}
            | {"underlying_contract": f"SHFE.au24{8 if n < 200 else 10:02}"}
            | {"prev_contract": "SHFE.au2408" if n == 200 else None, "is_switch": n in (0, 200)}
            for n, day in enumerate(DAYS)
        ]
        insert(conn, "futures.main_schedule", schedule)
        daily = [{"variety": "SHFE.au", "trading_day": day, "close": 500} for day in DAYS[:-1]]
        insert(conn, "futures.main_daily", daily)
        for table, own in (
            (
                "chain_daily_clean",
                {
                    "open_interest": 7,
                    "iv": 0.2,
                    "bid": Decimal("18.4000"),
                    "rollup_strategy": "close",
                },
            ),
            ("chain_intraday", {"slot_label": "10:00", "snapshot_error": False, "iv": "NaN"}),
        ):
            of = {"symbol": "BRK B", "trade_date": date(2026, 11, 24), "conid": 1, **own}
            of |= {"expiry": date(2026, 12, 18), "data_quality_flag": ["late", "wide"]}
            chain = [of | {"strike": k, "option_right": r} for k in (90, 100, 110) for r in "CP"]
            insert(conn, f"options.{table}", chain)
    return open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
