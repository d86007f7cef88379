"""Findings are filtered by code, dataset and severity, and lead to the chart at their day."""

import re

import psycopg
import pytest

from tests.integration.console.conftest import Caller, Open

ROWS = (
    ("error", "bar_jump", "sh600000", "2026-11-19", "in kline_daily"),
    ("warning", "missing_minutes", "kline_daily sz000001", "2026-11-18", "none"),
    ("warning", "short_day", "SHFE.cu", "2026-11-17", "ticks end at 14:00"),
    ("info", "code_change_known", "kline_daily", None, "sh600005 as sh600019: stocks"),
    ("info", "no_recent_bar", "kline_daily", "2026-11-15", "sz000002 and 3 more: no bar"),
    ("info", "stale_dataset", "kline_daily", "2026-11-16", "ends early"),
)


@pytest.fixture
def caller(prepared_dsn: str, open_console: Open) -> Caller:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("create schema if not exists qa")
        conn.execute(
            "create table qa.findings (severity text, check_name text, subject text, "
            "trade_date date, evidence text)"
        )
        conn.cursor().executemany("insert into qa.findings values (%s, %s, %s, %s, %s)", ROWS)
        conn.execute(
            "insert into ops.ingestion_state (source, dataset, key) "
            "values ('tdx', 'kline_daily', 'sh600000'), ('tdx', 'codes', 'all')"
        )
    return open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})


def list_subjects(caller: Caller, query: str) -> list[str]:
    return re.findall(r'<th scope="row">([^<]+)</th>', caller.get(f"/findings?{query}").text)


def test_findings_are_filtered(caller: Caller) -> None:
    for query, subjects in {
        "code=sh600000": ["sh600000"],
        "code=600000.SH": ["sh600000"],
        "code=000001.SZ": ["kline_daily sz000001"],
        "code=shfe.CU": ["SHFE.cu"],
        "code=000002.SZ": ["kline_daily"],
        "code=sh600019": ["kline_daily"],
        "dataset=kline_daily": ["sh600000", "kline_daily sz000001", *["kline_daily"] * 3],
        "dataset=kline_daily&severity=warning": ["kline_daily sz000001"],
        "dataset=codes": [],
        "code=sh600000&severity=info": [],
    }.items():
        assert list_subjects(caller, query) == subjects, query


def test_what_is_counted_is_what_is_shown(caller: Caller) -> None:
    everything = "1 error (1 new), 2 warnings (2 new), 3 info (3 new)"
    for query, said in (("", everything), ("code=SHFE.cu", "1 warning (1 new)")):
        assert f'<p class="faint">{said} · ' in caller.get(f"/findings?{query}").text


def test_a_finding_that_names_a_code_leads_to_its_chart(caller: Caller) -> None:
    text = caller.get("/findings").text
    assert re.findall(r'<td class="d">(.*?)</td>', text) == [
        '<a href="/prices?code=sh600000&amp;end=2026-11-19">2026-11-19</a>',
        '<a href="/prices?code=sz000001&amp;end=2026-11-18">2026-11-18</a>',
        '<a href="/prices/futures?variety=SHFE.cu&amp;end=2026-11-17">2026-11-17</a>',
        '<a href="/prices?code=sh600005">Prices</a>',
        '<a href="/prices?code=sz000002&amp;end=2026-11-15">2026-11-15</a>',
        "2026-11-16",
    ]
    assert "<option>kline_daily</option>" in text
    for code in ("sh600000", "nothing"):
        assert caller.get(f"/prices?code={code}&end=2026-11-19").status_code == 200


def test_the_name_of_a_dataset_is_no_word(caller: Caller, prepared_dsn: str) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("update qa.findings set subject = 'codes' where check_name = 'stale_dataset'")
    assert list_subjects(caller, "text=stale_dataset&lang=zh") == ["codes"]


def test_the_first_page_says_how_many_are_new(caller: Caller, prepared_dsn: str) -> None:
    assert '<div data-part="/new" data-lazy></div>' in caller.get("/").text
    link = '<a href="/findings?state=new">'
    assert f"{link}new findings: 1 error, 2 warnings</a>" in caller.get("/new").text
    assert f"{link}新增问题: 1 个错误，2 个警告</a>" in caller.get("/new?lang=zh").text
    caller.get("/new?lang=en")
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("delete from qa.findings where severity <> 'info'")
    assert "Nothing." in caller.get("/new?alone=1").text
    assert caller.get("/new").text.strip() == ""
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("drop table qa.findings cascade")
    for page in ("/new?alone=1", "/findings"):
        text = caller.get(page).text
        assert "No tables are built yet" in text
        assert "Nothing.</p>" not in text
