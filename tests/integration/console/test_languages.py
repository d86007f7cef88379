"""Pages in trouble are in one language too: loads that failed, late data, a gateway away."""

import re
from datetime import timedelta

import psycopg

from tests.bench import put_build
from tests.integration.console.conftest import NOW, Open
from tests.languages import check_languages

AWAY = {
    "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9",
    "QUOTEMILL_IB__HOST": "127.0.0.1",
    "QUOTEMILL_IB__PORT": "9",
    "QUOTEMILL_TQ__ACCOUNT": "me",
    "QUOTEMILL_TQ__PASSWORD": "secret",
}
# by source: how its last load ended
ENDED = {
    "tdx": "TDX service outage: still down after 3 retries (/api/codes: no response at a:9) "
    "(Check the service and tdx.base_url with `loaders check tdx`, then run `quotemill retry`.)",
    "ib": "no gateway at 127.0.0.1:9: Connect call failed",
    "tq": "the futures servers reject the account: 'wrong password'",
}
TIMES = re.compile(r"<time [^>]*>[-0-9 :]{19} ([^<]*)</time>")
LATE = (
    ("tdx", "kline_daily"),
    ("tdx", "corporate_actions"),
    ("ib", "chain_close"),
    ("tq", "ticks"),
)


def fill(dsn: str) -> None:
    """Failed loads and builds, keys that failed, late data."""
    with psycopg.connect(dsn) as conn:
        for source, error in ENDED.items():
            conn.execute(
                "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, "
                "parameters, as_of, started_at, finished_at, error) "
                "values (%s, %s, 'incremental', 'failed', 'me', '{}', now(), %s, %s, %s)",
                (source, source, NOW - timedelta(hours=2), NOW - timedelta(hours=1), error),
            )
        put_build(conn, "build", NOW, exit_code=1, error="the caller did not record how it ended")
        conn.execute("create schema if not exists qa")
        conn.execute(
            "create table qa.freshness (source text, dataset text, last_date date, "
            "expected_date date, is_stale boolean, lag_trading_days int)"
        )
        conn.cursor().executemany(
            "insert into qa.freshness values (%s, %s, '2025-06-30', '2026-11-19', true, 343)", LATE
        )


def test_pages_in_trouble_are_in_one_language(open_console: Open, prepared_dsn: str) -> None:
    fill(prepared_dsn)
    caller = open_console(AWAY | {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    check_languages(caller.client)


def test_where_a_setting_comes_from_is_chinese_too(open_console: Open) -> None:
    page = open_console(AWAY).get("/settings", params={"lang": "zh"}).text
    assert "环境变量 <code>QUOTEMILL_TDX__BASE_URL</code>" in page
    assert "environment" not in page


def test_each_list_of_times_is_in_one_zone(open_console: Open, prepared_dsn: str) -> None:
    """That of the exchanges of its rows; of several, or of none, that of what is configured."""
    fill(prepared_dsn)
    in_china = {name: value for name, value in AWAY.items() if "IB" not in name}
    paths = ("/", "/history", "/load", "/builds/1", "/chains")
    for settings, mixed in ((AWAY, "UTC"), (in_china, "Shanghai")):
        caller = open_console(settings | {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
        zones = {path: set(TIMES.findall(caller.get(path).text)) for path in paths}
        assert zones == {path: {mixed} for path in paths} | {"/chains": {"New York"}}
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("delete from ops.ingestion_jobs where source = 'ib'")
    caller = open_console(AWAY | {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    for path in ("/", "/history", "/load"):
        assert set(TIMES.findall(caller.get(path).text)) == {"Shanghai"}
