"""Findings, failed keys, alerts and the report by the console, with little in the warehouse."""

import re
from typing import Any

import psycopg
import pytest

from tests.integration.console.conftest import ADDRESS, NO_LIMIT, Caller, Open

ACK = "/api/qa/ack"
AS_OF = "2024-06-07T18:00:00+08:00"
NASTY = "'; drop table ops.failed_keys; --"


@pytest.fixture
def caller(open_console: Open, prepared_dsn: str) -> Caller:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "insert into ops.failed_keys (source, dataset, key, reason, first_job_id, job_id, "
            "first_failed_at) values ('tdx', 'kline_daily', 'sh600004', 'timeout', 1, 1, %s)",
            (AS_OF,),
        )
        for cause, end in (("disk", None), ("load:tdx", AS_OF)):
            conn.execute(
                "insert into ops.alerts (cause, severity, message, command, first_at, last_at, "
                "recovered_at) values (%(cause)s, 'error', 'm', 'c', %(at)s, %(at)s, %(end)s)",
                {"cause": cause, "at": AS_OF, "end": end},
            )
    return open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn}, as_of=AS_OF, limits=NO_LIMIT)


def test_a_failed_key_is_listed_and_acknowledged(caller: Caller) -> None:
    document = caller.json("/api/qa")
    assert document["findings"] == []
    assert [row["key"] for row in document["failed_keys"]] == ["sh600004"]
    answer = caller.call(ACK, {"names": ["kline_daily sh600004"], "reason": f"gone {NASTY}"})
    assert answer.json() == {"acknowledged": 1}, answer.text
    [row] = caller.json("/api/qa")["failed_keys"]
    assert row["acknowledged_because"] == f"gone {NASTY}"
    assert row["acknowledged_by"]


def test_a_finding_that_no_run_has_numbered_is_acknowledged_on_its_page(
    caller: Caller, prepared_dsn: str
) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "create table qa.findings as select 'no_bar' as check_name, 'warning' as severity, "
            "code as subject, null::date as trade_date, 'gone' as evidence, 'qa_bars' as model "
            "from unnest(array['a', 'b']) as code"
        )
    page = caller.get("/findings").text
    keys = re.findall('name="names" value="(f[0-9a-f]{32})"', page)
    assert len(keys) == 2
    answer = caller.call(ACK, {"names": keys[1:], "reason": "delisted"})
    assert answer.json() == {"acknowledged": 1}, answer.text
    states = {row["subject"]: row["state"] for row in caller.json("/api/qa")["findings"]}
    assert states == {"a": "new", "b": "acknowledged"}
    for query, subjects in (
        ("state=new", ["a"]),
        ("state=new&state=acknowledged", ["a", "b"]),
        ("limit=1", ["a"]),
        ("severity=error", []),
    ):
        shown = caller.json(f"/api/qa?{query}")
        assert [row["subject"] for row in shown["findings"]] == subjects
    assert caller.call(ACK, {"names": ["no_bar"], "reason": "known"}).json() == {"acknowledged": 2}


def test_freshness_is_that_of_the_time_of_the_console(caller: Caller, prepared_dsn: str) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "create view qa.freshness as select 'tdx' as source, 'codes' as dataset, "
            "null::date as last_date, true as is_stale, "
            "left(current_setting('quotemill.as_of'), 10)::date as expected_date"
        )
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of) values ('tdx', 'tdx', 'init', 'partial', 'test', '{}', %s)",
            (AS_OF,),
        )
    [row] = caller.json("/api/freshness")["freshness"]
    expected = {"source": "tdx", "dataset": "codes", "last_date": None, "is_stale": True}
    assert row == expected | {"expected_date": AS_OF[:10]}


WRONG_ACKNOWLEDGEMENTS: list[Any] = [
    {"names": [NASTY], "reason": "x"},
    {"names": ["999999"], "reason": "x"},
    {"names": ["9" * 150], "reason": "x"},
    {"names": [], "reason": "x"},
    {"names": ["x"], "reason": ""},
    {"names": ["x"], "reason": "  "},
    {"names": ["x"]},
    {"names": "x", "reason": "x"},
    {"names": ["x"], "reason": "x\0"},
    {"names": ["x\0"], "reason": "x"},
    {"names": ["x"], "reason": "x", "severity": "fatal"},
    {"names": ["x"], "reason": "x" * 2000},
]


def test_a_wrong_acknowledgement_is_refused(caller: Caller) -> None:
    for body in WRONG_ACKNOWLEDGEMENTS:
        answer = caller.call(ACK, body)
        assert answer.status_code == 422, (body, answer.text)
        assert caller.json("/api/qa")["failed_keys"][0]["acknowledged_at"] is None


def test_a_half_of_a_character_is_refused(caller: Caller) -> None:
    own = {"origin": ADDRESS, "x-quotemill-page": caller.token, "content-type": "application/json"}
    for body in (
        b'{"names": ["x\\ud800"], "reason": "x"}',
        b'{"names": ["x"], "reason": "\\udfff"}',
    ):
        assert caller.client.post(ACK, content=body, headers=own).status_code == 422


def test_a_filter_of_no_known_word_is_refused(caller: Caller) -> None:
    for query in (f"severity={NASTY}", "state=x", "limit=0", "limit=1000000"):
        assert caller.get(f"/api/qa?{query}").status_code == 422
    assert caller.get("/api/alerts?all=perhaps").status_code == 422


def test_alerts_are_those_of_the_book(caller: Caller) -> None:
    assert [row["cause"] for row in caller.json("/api/alerts")["alerts"]] == ["disk"]
    assert len(caller.json("/api/alerts?all=true")["alerts"]) == 2


def test_the_report_is_a_page_with_its_own_style_and_script_alone(caller: Caller) -> None:
    answer = caller.get("/report")
    assert answer.status_code == 200, answer.text
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert len(re.findall("(?:style|script)-src 'sha256-[^' ]+';", policy)) == 2
    assert caller.get("/report?since=2030-01-01").status_code == 422
    assert caller.get("/report?since=x").status_code == 422


def test_without_a_warehouse_there_is_nothing(open_console: Open) -> None:
    caller = open_console()
    assert caller.json("/api/freshness") == {"freshness": []}
    assert caller.json("/api/qa")["findings"] == []
    assert caller.json("/api/alerts") == {"alerts": []}
    assert caller.get("/report").status_code == 200
    assert caller.call(ACK, {"names": ["x"], "reason": "x"}).status_code == 409
