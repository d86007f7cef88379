"""A build or a warehouse that fails during `quotemill run`: the next run completes it."""

import contextlib
import inspect
import os
import signal
import threading
import time
from typing import Any

import psycopg
import pytest

from loaders import loads
from loaders.engine.progress import Silent
from loaders.engine.signals import handled
from loaders.warehouse.postgres import open_warehouse
from orchestration import nightly
from orchestration.checks import status
from orchestration.run import build, build_record, findings, stages
from tests.e2e.test_pipeline import ADJUSTED, DAYS, run
from tests.integration.tdx_load.bench import Bench

pytestmark = pytest.mark.usefixtures("models_alone")


def test_a_warehouse_that_restarts_while_findings_are_judged_costs_nothing(
    market_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, cut = findings.judge, list[int]()

    def cut_off(conn: psycopg.Connection, *args: Any, **options: Any) -> findings.Judgement:
        settle = judge(conn, *args, **options)
        if not cut:
            cut.append(conn.info.backend_pid)
            conn.execute("select pg_terminate_backend(pg_backend_pid())")
        return settle

    monkeypatch.setattr(findings, "judge", cut_off)
    result = run(market_bench)
    assert (result.exit_code, len(cut)) == (0, 1)
    judged = "select value from ops.settings where key = 'judgement:qa'"
    assert market_bench.rows(judged) == [("2",)]


def test_a_run_that_meets_another_build_waits_and_builds(
    market_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    market_bench.sandbox.set_clock(DAYS[-1])
    with contextlib.ExitStack() as other:
        other.enter_context(build_record.build_lock(open_warehouse(market_bench.settings)))
        monkeypatch.setattr(market_bench.heard, "line", lambda _: other.close())
        result = run(market_bench)
    assert result.exit_code == 0
    assert market_bench.rows("select max(trade_date) from market.kline_daily_qfq") == [(DAYS[-1],)]


def test_rows_that_no_build_took_are_not_fresh(
    market_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "BUILD_WAIT", 0.0)
    market_bench.sandbox.set_clock(DAYS[-1])
    warehouse = open_warehouse(market_bench.settings)
    with build_record.build_lock(warehouse):
        run(market_bench)
    assert market_bench.rows("select max(trade_date) from raw_tdx.kline_daily") == [(DAYS[-1],)]
    shown = {
        row["dataset"]: row
        for row in status.read_status(market_bench.settings, warehouse).freshness
    }
    assert shown["kline_daily"]["last_date"] == DAYS[-2]
    assert shown["kline_daily"]["is_stale"]


def test_a_failed_build_leaves_the_tables_and_is_repeated(market_bench: Bench) -> None:
    before = market_bench.rows(ADJUSTED)
    market_bench.sandbox.set_clock(DAYS[-1])
    guard = "alter table market.kline_daily_qfq add constraint guard check (trade_date < '{}')"
    market_bench.execute(guard.format(DAYS[-1]))

    failed = run(market_bench)

    assert failed.build is not None
    assert not failed.build.succeeded
    assert failed.exit_code == 1
    assert market_bench.rows(ADJUSTED) == before
    shown = status.read_status(market_bench.settings, open_warehouse(market_bench.settings))
    wrong = next(c.sentence for c in shown.problems if c.fix == "quotemill build")
    assert wrong.startswith(f"build {failed.build.build_id} failed: ")
    assert "kline_daily_qfq" in wrong
    market_bench.execute("alter table market.kline_daily_qfq drop constraint guard")

    assert run(market_bench).exit_code == 0
    assert market_bench.rows("select max(trade_date) from market.kline_daily_qfq") == [(DAYS[-1],)]


WAITING = "select exists (select 1 from pg_stat_activity where wait_event_type = 'Lock')"


def test_ctrl_c_in_the_build_is_130_and_no_alert(
    market_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    market_bench.sandbox.set_clock(DAYS[-1])
    warehouse = open_warehouse(market_bench.settings)
    monkeypatch.setattr(loads, "try_load", lambda *_, **__: market_bench.load())
    # dbt has the main thread, which alone hears Ctrl-C
    monkeypatch.setattr(build, "invoke", inspect.unwrap(build.invoke))

    def interrupt() -> None:
        """Press Ctrl-C once the build waits for the locked table."""
        with warehouse.connect(autocommit=True) as other:
            while other.execute(WAITING).fetchone() != (True,):
                time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    # a suite in the background of a shell ignores Ctrl-C, and would wait for the lock for ever
    heard = handled({signal.SIGINT: signal.default_int_handler})
    with heard, warehouse.connect() as conn:
        conn.execute("lock table market.kline_daily_qfq in share mode")
        pressing = threading.Thread(target=interrupt)
        pressing.start()
        with pytest.raises(KeyboardInterrupt):
            nightly.run(
                market_bench.settings,
                ["tdx"],
                lambda: contextlib.nullcontext(Silent()),
                Silent(),
                only=("load", "build", "qa", "alerts"),
            )
        pressing.join()
    assert market_bench.rows("select exit_code from ops.runs where build_id is null") == [(130,)]
    assert market_bench.rows("select cause from ops.alerts where recovered_at is null") == []
    with warehouse.connect() as conn:
        assert build_record.recent(conn, 1)[0]["status"] == "cancelled"
    assert run(market_bench).exit_code == 0
    assert market_bench.rows("select max(trade_date) from market.kline_daily_qfq") == [(DAYS[-1],)]
