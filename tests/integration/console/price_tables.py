"""Tables of prices as the contracts of the models declare them."""

from pathlib import Path
from typing import Any

import psycopg
import yaml

MODELS = Path(__file__).parents[3] / "dbt_project" / "models"
TABLES = {
    "market": "symbol_dim trading_calendar corporate_actions kline_daily kline_daily_qfq "
    "kline_weekly_qfq kline_5m index_kline_daily sectors sector_members",
    "futures": "main_schedule main_daily main_1m tick_coverage",
    "options": "chain_daily_clean chain_intraday",
}


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
