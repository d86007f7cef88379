"""A table created from its whole query is the table that its contract declares."""

from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import bar, land, security, trading_day

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
DAY = date(2024, 6, 3)
CATALOG = {
    "columns": """
        select attname, format_type(atttypid, atttypmod), attnotnull, attstorage, attcollation
        from pg_attribute where attrelid = %s::regclass and attnum > 0 order by attnum
    """,
    "constraints": """
        select conname, contype, convalidated, pg_get_constraintdef(oid)
        from pg_constraint where conrelid = %s::regclass order by conname
    """,
    "indexes": """
        select indisunique, indisprimary, indisvalid, indkey::text from pg_index
        where indrelid = %s::regclass order by 1, 2, 3, 4
    """,
    "table": """
        select relkind, relpersistence, reloptions, relowner from pg_class where oid = %s::regclass
    """,
    "comments": """
        select objsubid, description from pg_description
        where objoid = %s::regclass and classoid = 'pg_class'::regclass order by 1
    """,
}


def catalog(conn: psycopg.Connection, table: str) -> dict[str, list[tuple[object, ...]]]:
    return {
        part: conn.execute(query.encode(), (table,)).fetchall() for part, query in CATALOG.items()
    }


def declared(conn: psycopg.Connection, model: Any) -> str:
    """The name of an empty table of a schema of its own, as the contract of the model says."""
    table = f"declared.{model.alias}"
    parts = [
        f"{column.name} {column.data_type} {'not null' if column.constraints else ''}"
        for column in model.columns.values()
    ]
    parts += [f"primary key ({', '.join(c.columns)})" for c in model.constraints]
    conn.execute(f"create table {table} ({', '.join(parts)})".encode())
    for index in model.config.get("indexes") or []:
        unique = "unique" if index.get("unique") else ""
        columns = ", ".join(index["columns"])
        conn.execute(f"create {unique} index on {table} ({columns})".encode())

    def comment(what: str, text: str) -> None:
        conn.execute(sql.SQL(f"comment on {what} is {{}}").format(text))

    comment(f"table {table}", model.description)
    for column in model.columns.values():
        comment(f"column {table}.{column.name}", column.description)
    return table


def test_new_tables_are_what_their_contracts_declare(
    conn: psycopg.Connection, parsed: Parsed
) -> None:
    conn.execute("create schema declared")
    tables = [
        node
        for node in parsed.manifest.nodes.values()
        if node.resource_type == "model"
        and node.config.materialized in ("followed", "continuous_aggregate")
        and node.config.contract.enforced
    ]
    assert "kline_daily_qfq" in {table.name for table in tables}

    for table in tables:
        made = catalog(conn, f"{table.schema}.{table.alias}")
        for part, wanted in catalog(conn, declared(conn, table)).items():
            assert set(made[part]) ^ set(wanted) == set(), (table.name, part)
            assert made[part] == wanted, (table.name, part)


def test_rows_that_break_the_key_fail_a_first_build_by_model_and_key(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(DAY)])
    land(conn, "kline_daily", [bar("sh600000", DAY, "10")])
    conn.execute("alter table raw_tdx.kline_daily drop constraint kline_daily_pkey cascade")
    conn.execute("insert into raw_tdx.kline_daily select * from raw_tdx.kline_daily")
    conn.execute("drop table market.kline_daily_qfq cascade")

    outcome = dbt.fails("run", "-s", "kline_daily_qfq")
    assert "kline_daily_qfq" in outcome.error
    assert "(code, trade_date)=(sh600000, 2024-06-03)" in outcome.error
    assert conn.execute("select to_regclass('market.kline_daily_qfq')").fetchone() == (None,)


def test_a_key_replaces_the_test_of_uniqueness(conn: psycopg.Connection, dbt: Dbt) -> None:
    week = ("sh600000", date(2024, 6, 3), DAY)
    columns = "code, week_start, trade_date"
    insert = f"insert into market.kline_weekly_qfq ({columns}) values (%s, %s, %s)".encode()
    query = (
        "select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables "
        "where relid = 'market.kline_weekly_qfq'::regclass"
    )

    def read() -> int:
        [(count,)] = conn.execute(query.encode()).fetchall()
        return int(count)

    conn.execute(insert, week)
    before = read()

    dbt("test", "-s", "test_name:unique_combination,kline_weekly_qfq")
    assert read() == before

    # without the key the test reads the row
    conn.execute("alter table market.kline_weekly_qfq drop constraint kline_weekly_qfq_pkey")
    dbt("test", "-s", "test_name:unique_combination,kline_weekly_qfq")
    assert read() > before
    conn.execute(insert, week)
    dbt.fails("test", "-s", "test_name:unique_combination,kline_weekly_qfq")
