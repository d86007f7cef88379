"""dbt's own materializations mean what dbt's documentation says, in a user's models too."""

from pathlib import Path

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.raw import bar, land, touch
from tests.integration.dbt.two_codes import CODES, DAYS, TWO_CODES, land_days, oids

pytestmark = TWO_CODES

DAY_BARS = "select code, trade_date, close from {{ ref('kline_daily') }}"
NEW_ALONE = (
    "{% if is_incremental() %}where trade_date > (select max(trade_date) from {{ this }})"
    "{% endif %}"
)
STRATEGIES = {
    "of_no_strategy": "",
    "of_append": "incremental_strategy='append', ",
    "of_merge": "incremental_strategy='merge', unique_key=['code', 'trade_date'], ",
    "of_delete_insert": "incremental_strategy='delete+insert', unique_key=['code', 'trade_date'], ",
}
MODELS = {
    name: f"{{{{ config({strategy}materialized='incremental') }}}} {DAY_BARS} {NEW_ALONE}"
    for name, strategy in STRATEGIES.items()
} | {
    "by_one_column": "{{ config(materialized='incremental', unique_key='trade_date') }} "
    f"select trade_date, count(*) as codes from ({DAY_BARS}) as b {NEW_ALONE} group by 1",
    "by_batch": "{{ config(materialized='incremental', incremental_strategy='microbatch', "
    "unique_key=['code', 'trade_date'], event_time='trade_date', begin='2023-01-01', "
    f"batch_size='year') }}}} {DAY_BARS}",
    "as_table": f"{{{{ config(materialized='table') }}}} {DAY_BARS}",
    "as_view": f"{{{{ config(materialized='view') }}}} {DAY_BARS}",
}


@pytest.fixture
def with_models(project: Path) -> Path:
    """A checkout with models of a user's own."""
    for name, text in MODELS.items():
        (project / "models" / "mine" / f"{name}.sql").write_text(text, "utf-8")
    return project


def count_rows(conn: psycopg.Connection) -> dict[str, int]:
    rows = {}
    for name in MODELS:
        [(rows[name],)] = conn.execute(f"select count(*) from market.{name}".encode())
    return rows


def test_a_model_of_each_strategy_keeps_its_rows_over_runs(
    conn: psycopg.Connection, dbt: Dbt, with_models: Path
) -> None:
    dbt("run", "-s", "path:models/mine")
    by_day = {"by_one_column": 30}
    assert count_rows(conn) == dict.fromkeys(MODELS, 60) | by_day

    # days that leave the bars stay in what was built of them
    land_days(conn, DAYS[30:31])
    conn.execute("delete from raw_tdx.kline_daily where trade_date < %s", (DAYS[10],))
    touch(conn, "kline_daily", *CODES)
    built_again = oids(conn, *(f"market.{name}" for name in (*STRATEGIES, "by_one_column")))
    second = dbt("run", "-s", "kline_daily_qfq", "path:models/mine")
    assert {name: second.written[name] for name in STRATEGIES} == dict.fromkeys(STRATEGIES, 2)
    assert count_rows(conn) == dict.fromkeys(MODELS, 62) | {
        "by_one_column": 31,
        "as_table": 42,
        "as_view": 42,
    }
    assert oids(conn, *(f"market.{name}" for name in (*STRATEGIES, "by_one_column"))) == built_again


def test_a_view_of_a_reader_outlives_a_changed_view_below_it(
    conn: psycopg.Connection, dbt: Dbt, project: Path
) -> None:
    conn.execute("create schema research")
    conn.execute("create view research.mine as select close from market.kline_daily")
    model = project / "models/marts/market/kline_daily.sql"
    text = model.read_text("utf-8")
    model.write_text(f"select * from (\n{text}\n) as bars where close > 10", "utf-8")
    land(conn, "kline_daily", [bar(CODES[0], DAYS[0], "11")])
    dbt("run", "-s", "kline_daily")

    assert conn.execute("select * from research.mine").fetchall() == [(11,)]


def test_a_followed_model_of_a_user_has_a_key_of_one_name_and_grants(
    conn: psycopg.Connection, dbt: Dbt, project: Path
) -> None:
    conn.execute("create role analyst")
    (project / "models/mine/newest.sql").write_text(
        "{{ config(materialized='followed', unique_key='code', grants={'select': ['analyst']}) "
        "}} select code, max(trade_date) as trade_date from {{ ref('kline_daily') }} group by code",
        "utf-8",
    )
    (project / "models/mine/newest_view.sql").write_text(
        "{{ config(materialized='replaced_view', grants={'select': ['analyst']}) }} "
        "select * from {{ ref('newest') }}",
        "utf-8",
    )
    try:
        dbt("run", "-s", "newest", "newest_view")
        stored = oids(conn, "market.newest")
        land_days(conn, DAYS[30:31])
        second = dbt("run", "-s", "newest", "newest_view")
        assert second.written["newest"] == 2
        assert oids(conn, "market.newest") == stored
        for name in ("newest", "newest_view"):
            may = "select has_table_privilege('analyst', %s, 'select')"
            assert conn.execute(may, (f"market.{name}",)).fetchone() == (True,)
    finally:
        conn.execute("drop owned by analyst; drop role analyst")


def test_models_of_a_user_read_sources_of_their_own_and_no_private_or_untracked_model(
    dbt: Dbt, with_models: Path
) -> None:
    mine = with_models / "models/mine"
    (mine / "_sources.yml").write_text(
        "sources: [{name: mine, tables: [{name: prices, columns: [{name: not_there}]}]}]", "utf-8"
    )
    (mine / "above.sql").write_text(
        "{{ config(materialized='followed', unique_key=['code', 'trade_date'], "
        "indexes=[{'columns': ['code', 'trade_date'], 'unique': true}], "
        "meta={'by': 'trade_date', 'follows': {'raw_tdx.kline_daily': 'day'}}) }} "
        "select * from {{ changed(ref('of_append')) }}",
        "utf-8",
    )
    refused = dbt.fails("run", "-s", "as_view", "of_append", "above")
    assert refused.refuses("above", "of_append", "not tracked")
    assert refused.statuses["as_view"] == "success"

    (mine / "inner.sql").write_text("select * from {{ ref('stg_tdx__kline_daily') }}", "utf-8")
    assert "private" in dbt.fails("run", "-s", "inner").error
