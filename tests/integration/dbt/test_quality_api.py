"""Findings of built tables by the console: filtered, and acknowledged."""

from collections.abc import Callable
from datetime import date

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.console.conftest import Caller, open_console  # noqa: F401
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import bar, land, security, trading_day, weekdays

pytestmark = MODELS

DAYS = weekdays(date(2024, 6, 3), 5)
CODE = "sh600000"
ACK = "/api/qa/ack"
AS_OF = "2024-06-07T18:00:00+08:00"
NASTY = "'; drop table ops.seen_findings; --"


@pytest.fixture
def caller(
    dbt: Dbt,
    conn: psycopg.Connection,
    open_console: Callable[..., Caller],  # noqa: F811
    warehouse: Warehouse,
) -> Caller:
    land(conn, "security", [security(CODE)])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    bars = [bar(CODE, day, "10") for day in DAYS[:3]]
    bars[1]["high"] = 1  # below the low
    land(conn, "kline_daily", bars)
    dbt("run", "-s", "+kline_daily_qfq", "+symbol_dim", "int_bars__findings")
    conn.execute(
        "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
        "as_of, started_at, finished_at) "
        "values ('tdx', 'tdx', 'init', 'partial', 'test', '{}', %(at)s, %(at)s, %(at)s)",
        {"at": AS_OF},
    )
    conn.execute(
        "insert into ops.failed_keys (source, dataset, key, reason, first_job_id, job_id, "
        "first_failed_at) values ('tdx', 'kline_daily', 'sh600004', 'timeout', 1, 1, %s)",
        (AS_OF,),
    )
    conn.commit()
    return open_console({"QUOTEMILL_WAREHOUSE_URL": warehouse.url}, as_of=AS_OF)


def test_findings_are_filtered_and_acknowledged(caller: Caller, conn: psycopg.Connection) -> None:
    document = caller.json("/api/qa")
    assert document["counts"]
    assert [row["key"] for row in document["failed_keys"]] == ["sh600004"]
    errors = caller.json("/api/qa?severity=error&state=new")
    assert {row["severity"] for row in errors["findings"]} <= {"error"}
    assert len(caller.json("/api/qa?limit=1")["findings"]) == 1
    name = document["findings"][0]["check_name"]
    known = sum(row["check_name"] == name for row in document["findings"])
    answer = caller.call(ACK, {"names": [name], "reason": "known, " + NASTY})
    assert answer.json() == {"acknowledged": known}, answer.text
    shown = caller.json("/api/qa?state=acknowledged")["findings"]
    assert {(row["check_name"], row["reason"]) for row in shown} == {(name, "known, " + NASTY)}
    answer = caller.call(ACK, {"names": ["kline_daily sh600004"], "reason": "delisted"})
    assert answer.json() == {"acknowledged": 1}
    assert caller.json("/api/qa")["failed_keys"][0]["acknowledged_because"] == "delisted"


def test_freshness_is_that_of_the_built_rows(caller: Caller, conn: psycopg.Connection) -> None:
    conn.execute("select set_config('quotemill.as_of', %s, false)", (AS_OF,))
    expected = conn.execute(
        "select source, dataset, last_date::text, expected_date::text, is_stale from qa.freshness "
        "order by 1, 2"
    ).fetchall()
    rows = caller.json("/api/freshness")["freshness"]
    names = ("source", "dataset", "last_date", "expected_date", "is_stale")
    shown = sorted(tuple(row[name] for name in names) for row in rows)
    assert shown == expected
    [days] = [row for row in rows if row["dataset"] == "kline_daily"]
    assert (days["last_date"], days["is_stale"]) == (str(DAYS[2]), True)
