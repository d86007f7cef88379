"""Tables of prices as the contracts of the models declare them, and refusals of their API."""

from pathlib import Path
from typing import Any

import psycopg
import yaml

from tests.integration.console.conftest import Caller

MODELS = Path(__file__).parents[3] / "dbt_project" / "models"
TABLES = {
    "market": "symbol_dim corporate_actions kline_daily kline_daily_qfq kline_weekly_qfq kline_5m "
    "index_kline_daily",
    "futures": "main_schedule main_daily",
    "options": "chain_daily_clean chain_intraday",
}
# calls that any warehouse with sh600000, sh600004 and SHFE.au refuses: path, status, a word of why
REFUSALS = [
    ("klines/sh600001", 404, "near it: sh600000 SH600000, sh600004"),
    ("klines/sh6000", 422, "not a code"),
    ("klines/sh600000'%20or%20'1'='1", 422, "code"),
    ("klines/sh600000?freq=2d", 422, "freq"),
    ("klines/sh600000?adjust=all", 422, "adjust"),
    ("klines/sh600000?freq=1w", 422, "forward-adjusted"),
    ("klines/sh600000?start=x'%3Bdrop", 422, "start"),
    ("klines/sh600000?start=2024-06-05&end=2024-06-03", 422, "is before start"),
    ("klines/sh600000?as_of=yesterday", 422, "as_of"),
    ("klines/sh600000?format=xml", 422, "format"),
    ("main-contracts/SHFE.xx", 404, "there are: SHFE.au"),
    ("main-contracts/x'%20or%201=1", 422, "variety"),
    ("option-chain/BRK%20B/2026-11-24?slot=x", 422, "slot"),
    ("option-chain/BRK%20B/yesterday", 422, "day"),
    ("option-chain/..%2f..%2fx/2026-11-24", 404, ""),
]


def make_tables(conn: psycopg.Connection) -> None:
    """Empty tables of the contracts of the models."""
    for schema, names in TABLES.items():
        conn.execute(f"create schema if not exists {schema}".encode())
        for path in MODELS.glob(f"*/{schema}/_*_models.yml"):
            for model in yaml.safe_load(path.read_text("utf-8")).get("models", []):
                if model["name"] in names.split():
                    columns = ", ".join(f"{c['name']} {c['data_type']}" for c in model["columns"])
                    conn.execute(f"create table {schema}.{model['name']} ({columns})".encode())


def insert(conn: psycopg.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    values = ", ".join(f"%({name})s" for name in names)
    query = f"insert into {table} ({', '.join(names)}) values ({values})"
    conn.cursor().executemany(query.encode(), rows)


def check_refusal(caller: Caller, path: str, status: int, says: str) -> None:
    answer = caller.get(f"/api/{path}")
    assert answer.status_code == status, answer.text
    assert says in answer.text
