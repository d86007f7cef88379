"""The first page: how much there is, what needs attention once, when loads and builds ran."""

import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from orchestration.console.pages.overview import WIDTH, arrange_spans
from tests.bench import put_build
from tests.integration.console.conftest import NOW, Open, plant_running_load


def test_a_span_has_its_place_and_stays_visible_at_the_end() -> None:
    since = datetime(2026, 11, 1, tzinfo=UTC)
    day = timedelta(days=1)
    rows = [
        {"started_at": since + day, "finished_at": since + 3 * day, "status": "succeeded"},
        {"started_at": NOW, "finished_at": None, "status": "running"},
        {"started_at": since - day, "finished_at": since, "status": "failed"},
    ]
    first, last = arrange_spans(rows, since, NOW)
    length = NOW - since
    assert first["x"] == pytest.approx(day / length * WIDTH)
    assert first["width"] == pytest.approx(2 * day / length * WIDTH)
    assert (first["kind"], last["kind"]) == ("good", "warn")
    assert last["x"] + last["width"] == WIDTH


def test_the_page_shows_figures_lanes_and_each_problem_once(
    prepared_dsn: str, open_console: Open
) -> None:
    settings = {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn}
    settings["QUOTEMILL_TDX__BASE_URL"] = "http://127.0.0.1:9"
    caller = open_console(settings)
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of, started_at, finished_at) "
            "values ('tdx', 'tdx', 'init', 'succeeded', 'me', '{}', now(), %s, %s)",
            (NOW - timedelta(days=1), NOW),
        )
        put_build(conn, "by-steps", NOW, exit_code=0)
        conn.execute("create schema if not exists qa")
        conn.execute(
            "create table qa.freshness as select dataset, 'tdx' as source, date '2026-11-18' as "
            "last_date, date '2026-11-19' as expected_date, true as is_stale, 1 as "
            "lag_trading_days from unnest(array['kline_daily', 'minute_1m']) as dataset"
        )
        conn.execute("create schema if not exists market")
        conn.execute("create table market.symbol_dim as select 'sh600000' as code")
        conn.execute(
            "insert into raw_tdx.kline_daily (code, trade_date, open, high, low, close, "
            "volume, amount, source_route, fetched_at, is_final) "
            "select 'sh600000', day, 1, 1, 1, 1, 1, 1, 'service', now(), true "
            "from generate_series(date '2020-01-01', date '2024-12-31', '1 day') as day"
        )
        conn.execute("analyze raw_tdx.kline_daily")
    text = caller.get("/").text
    assert '<code>kline_daily</code> <strong class="d">2026-11-18</strong>' in text
    problems = text.partition('id="problems"')[2].partition("</table>")[0]
    assert problems.count("<code>quotemill run</code>") == 1
    assert problems.count('ends <span class="d">2026-11-18</span>') == 2
    lanes = text.partition('id="lanes"')[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">(\w+)<', lanes) == ["tdx", "build"]
    assert lanes.count("<rect") == 2
    assert 'href="/jobs/1"' in lanes
    axis = lanes.partition("<tfoot>")[2]
    assert re.findall(r"<time[^>]*>(.*?)</time>", axis) == [
        "2026-11-19 20:00:00 Shanghai",
        "2026-11-20 20:00:01 Shanghai",
    ]
    assert lanes.count('<td><span class="good">succeeded</span></td>') == 2
    assert re.search("0 of 2 .*fresh", text)
    glance = caller.get("/glance").text
    assert "<dd>1,827</dd>" in glance
    assert '<dd><a href="/prices">1</a></dd>' in glance
    assert "captured" not in glance


def test_a_first_load_that_runs_says_what_comes_next(prepared_dsn: str, open_console: Open) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        plant_running_load(conn, "tdx", "tdx", "init")
        conn.execute(
            "insert into ops.ingestion_state (source, dataset, key) "
            "values ('tdx', 'kline_daily', 'sh600000')"
        )
        text = caller.get("/").text
        first = text.partition('id="first">')[2].partition("</p>")[0]
        assert '<a href="/jobs/1">load 1: tdx init</a>' in first
        assert "<code>quotemill build</code>" in first
        assert "nothing was built yet" not in text
        conn.execute("update ops.ingestion_jobs set status = 'succeeded', finished_at = now()")
    text = caller.get("/").text
    assert 'id="first"' not in text
    assert "nothing was built yet" in text


def test_a_failed_self_test_and_reconciliation_need_attention_until_one_passes(
    prepared_dsn: str, open_console: Open
) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        conn.execute("create schema if not exists qa")
        conn.execute(
            "create table qa.reconciliation as select 3 as run_id, 'warning' as severity, "
            "'missing_minutes' as likely_cause, code "
            "from unnest(array['sh600000', 'sh600000', 'sz000001']) as code"
        )
        for status, failed in (("failed", 2), ("passed", 0)):
            conn.execute(
                "insert into ops.testing_runs (source, kind, started_at, status, total, passed, "
                "failed, skipped) values ('tdx', 'selftest', %s, %s, 31, 29, %s, 0)",
                (NOW, status, failed),
            )
            text = caller.get("/").text
            button = '<input type="hidden" name="command" value="loaders selftest tdx">'
            assert (button in text) == bool(failed)
            shown = 'selftest 1 of tdx, <span class="d">2026-11-20</span> 20:00 Shanghai: 2 of 31'
            assert (shown in text) == bool(failed)
        assert re.search("reconciliation 3: 3 .* 2 codes .* sh600000", text)
        assert 'name="command" value="quotemill reconcile">' in text
        chinese = caller.get("/?lang=zh").text
        assert "比对 3：<code>sh600000</code> 等 2 个代码 有 3 处不同：missing_minutes" in chinese
        conn.execute("update qa.reconciliation set severity = 'info'")
    assert "quotemill reconcile" not in caller.get("/").text


def test_option_chains_and_ticks_are_shown_at_a_glance(
    prepared_dsn: str, open_console: Open
) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    assert 'id="figures"' in caller.get("/glance").text
    at = datetime(2026, 11, 19, 15, tzinfo=UTC)
    with psycopg.connect(prepared_dsn) as conn:
        add_capture(conn, at, "intraday", planned=10, captured=7)
        add_capture(conn, at, "recapture", planned=1, captured=1)  # the second, of what it lacked
        # nine of ten have a good row by now
        texts = "data_quality_flag ingest_id ingest_run_type source config_hash code_version"
        names = ", ".join([*texts.split(), "source_route"])
        conn.execute(
            "insert into raw_ib.chain_snapshot (trade_date, sample_time, conid, symbol, slot_30m, "
            "requested_data_type, captured_at, capture_lag_s, snapshot_error, is_final, "
            f"fetched_at, {names}) select %(day)s, %(at)s, n, 'SPX', 1, 1, %(at)s, 0, n = 10, "
            "true, %(at)s, '', '', '', '', '', '', '' "
            "from generate_series(1, 10) as n".encode(),
            {"day": at.date(), "at": at},
        )
        add_capture(conn, at + timedelta(hours=1), "intraday", planned=10, captured=8)
        conn.execute("create schema if not exists futures")
        conn.execute(
            "create table futures.tick_coverage as select * from (values "
            "(date '2026-11-18', 'missing'), (date '2026-11-19', 'complete'), "
            "(date '2026-11-19', 'short')) as c (trading_day, coverage)"
        )
    text = caller.get("/glance").text
    assert ">17 / 20<" in text
    assert "(captures: 2)" in text
    assert ">1 / 2<" in text
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("truncate raw_ib.chain_snapshot")
        conn.execute("update raw_ib.slot_run set planned = 0, captured = 0")
    assert '<span class="warn">0 / 0</span>' in caller.get("/glance").text  # nothing is well


def add_capture(
    conn: psycopg.Connection, at: datetime, kind: str, *, planned: int, captured: int
) -> None:
    """A row of raw_ib.slot_run."""
    conn.execute(
        "insert into raw_ib.slot_run (trade_date, sample_time, symbol, ingest_run_type, planned, "
        "captured, errors, delayed, pacing_events, attempts, started_at, finished_at, "
        "status, source_route, fetched_at, is_final) "
        "values (%s, %s, 'SPX', %s, %s, %s, 0, 0, 0, 1, %s, %s, 'partial', '', %s, true)",
        (at.date(), at, kind, planned, captured, at, at, at),
    )
