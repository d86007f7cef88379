"""The self-test against the simulated service.

Healthy, with each kind of fault, and interrupted.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.engine import check_runs
from loaders.engine.check_report import failure_page
from loaders.engine.progress import Silent
from loaders.loads import prepare_warehouse
from loaders.sandbox.tdx.calls import Options as ServiceOptions
from loaders.sandbox.tdx.calls import Task
from loaders.sandbox.tdx.quote_answers import answer_request
from loaders.sandbox.tdx.quote_server import QuoteServer
from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.settings import Settings, load_settings
from loaders.tdx.selftest.run import Options, record, run

AS_OF = datetime(2025, 6, 30, 10, 0, tzinfo=UTC)
NEED_DAY = {5, 12, 13, 14, 15, 16}


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    """Large enough for ten funds, and for a year of index months."""
    return SyntheticMarket(codes=30, days=260, seed=1)


@pytest.fixture(scope="module")
def service(market: SyntheticMarket) -> Iterator[TdxSandbox]:
    with TdxSandbox(market, options=ServiceOptions(timeout_delay=0.0)) as running:
        yield running


@pytest.fixture
def sandbox(service: TdxSandbox) -> Iterator[TdxSandbox]:
    """The service without faults and tasks of the test before."""
    yield service
    service.faults.clear()
    service.restart()


def make_settings(url: str, **more: Any) -> Settings:
    return load_settings({}, tdx={"base_url": url, "backoff": 0.0}, **more)


def made(url: str, *, timeout: float = 10.0, bulk_timeout: float = 30.0) -> dict[str, Any]:
    options = Options(timeout, bulk_timeout)
    return asyncio.run(run(make_settings(url), options, AS_OF, lambda: AS_OF, Silent()))


def numbers(shown: dict[str, Any], status: str) -> set[int]:
    return {row["no"] for row in shown["results"] if row["status"] == status}


def running_tasks(sandbox: TdxSandbox) -> list[str]:
    return [task.type for task in sandbox.state.tasks.values() if task.status == "running"]


def test_all_31_checks_pass_on_a_healthy_service(sandbox: TdxSandbox) -> None:
    shown = made(sandbox.url)
    assert numbers(shown, "passed") == set(range(1, 32))
    assert [row["no"] for row in shown["results"]] == list(range(1, 32))
    assert (shown["status"], shown["reference_trading_day"]) == ("passed", "2025-06-27")
    assert {entry.route for entry in sandbox.log} >= {"tasks/{id}", "kline-all/ths", "workday"}
    spoken = {row["no"]: row["contract"] for row in shown["results"]}
    assert {no for no, build in spoken.items() if build == "2025-11"} == {3, 4, 6, 12, 17, 23}


def test_all_31_checks_pass_on_the_build_of_april_2026(market: SyntheticMarket) -> None:
    options = ServiceOptions(timeout_delay=0.0, build="2026-04")
    with TdxSandbox(market, options=options) as newer:
        shown = made(newer.url)
        newer.faults.add("empty:minute")
        failed = numbers(made(newer.url), "failed")
    assert numbers(shown, "passed") == set(range(1, 32))
    spoken = {row["no"]: row["contract"] for row in shown["results"]}
    assert {no for no, build in spoken.items() if build == "2026-04"} == {3, 4, 6, 12, 17, 23}
    assert set(spoken.values()) == {"2026-04", "both"}
    assert failed == {12}


def test_checks_of_what_quote_servers_have_pass_and_others_are_skipped(
    sandbox: TdxSandbox,
) -> None:
    with QuoteServer(partial(answer_request, sandbox.state)) as server:
        named = "{}:{}".format(*server.address)
        settings = load_settings({}, tdx={"servers": [named], "requests_per_second": 1e6})
        shown = asyncio.run(run(settings, Options(), AS_OF, lambda: AS_OF, Silent()))
    assert numbers(shown, "passed") == {3, 4, 6, 7, 10, 11, 12, 15, 16, 19, 22, 24, 25, 26}
    assert (numbers(shown, "failed"), shown["status"]) == (set(), "passed")
    assert named in shown["base_url"]


def test_the_calendar_is_requested_first_and_each_route_once(sandbox: TdxSandbox) -> None:
    sandbox.log.clear()
    made(sandbox.url)
    routes = [entry.route for entry in sandbox.log]
    assert routes[0] == "workday"
    once = [route for route in routes if route != "tasks/{id}"]
    assert len(once) == len(set(once)) == 30


@pytest.mark.parametrize(
    ("fault", "failed", "skipped"),
    [
        ("half-init", {20, 21}, set()),
        ("ths-down", {5, 9, 27}, set()),
        ("error:market-count:message=获取 bj 数量失败: 超时", {24}, set()),
        ("calendar-empty", {25, 26}, NEED_DAY),
        ("codes-missing:exchange=sh", {19, 21, 22, 23}, set()),
        ("empty:kline-all", {7}, set()),
        ("empty:minute", {12}, set()),
        ("descending:trade", {13}, set()),
        ("missing-days:trade-history/full", {16}, set()),
        ("empty-body:income", {27}, set()),
        ("html:kline-history", {6}, set()),
        ("cut:search", {17}, set()),
        ("reset:index", {10}, set()),
        ("error:tasks/pull-kline", {28}, {30}),
        ("error:tasks/pull-trade", {29}, {30, 31}),
        ("error:tasks", {30}, set()),
    ],
)
def test_a_fault_fails_the_checks_that_it_concerns(
    sandbox: TdxSandbox, fault: str, failed: set[int], skipped: set[int]
) -> None:
    sandbox.faults.add(fault)
    shown = made(sandbox.url)
    assert (numbers(shown, "failed"), numbers(shown, "skipped")) == (failed, skipped)
    assert shown["status"] == "failed"
    assert running_tasks(sandbox) == []


def test_an_outage_of_the_quote_server_leaves_lists_and_calendar(sandbox: TdxSandbox) -> None:
    sandbox.faults.add("outage")
    shown = made(sandbox.url)
    assert numbers(shown, "failed") >= {3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 24}
    assert numbers(shown, "passed") >= {1, 2, 9, 17, 19, 20, 21, 22, 23, 25, 26, 27}


@pytest.mark.parametrize(
    ("fault", "no", "kind"),
    [
        ("hang:index", 10, "timeout"),
        ("hang:index/all", 11, "timeout"),
        ("reset:index", 10, "connection"),
        ("html:index:status=500", 10, "http"),
        ("empty-body:index", 10, "json"),
        ("cut:index/all", 11, "connection"),
        ("error:index", 10, "envelope"),
        ("empty:index", 10, "assertion"),
    ],
)
def test_a_failure_names_its_kind(sandbox: TdxSandbox, fault: str, no: int, kind: str) -> None:
    sandbox.faults.add(fault)
    seconds = 0.5 if kind == "timeout" else 60.0
    row = made(sandbox.url, timeout=seconds, bulk_timeout=seconds)["results"][no - 1]
    assert row["error"]["kind"] == kind


@pytest.mark.long
def test_each_check_has_the_time_limit_of_its_kind(sandbox: TdxSandbox) -> None:
    sandbox.faults.add("latency:index:seconds=1.2")
    sandbox.faults.add("latency:index/all:seconds=1.2")
    shown = made(sandbox.url, timeout=1.0, bulk_timeout=10.0)
    assert numbers(shown, "failed") == {10}
    assert shown["results"][10]["elapsed_ms"] >= 1200


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ("error:tasks/{id}:first=2", "cancelled"),  # the GET and the first cancel of check 31
        ("reset:tasks/{id}:first=3", "cancelled"),
        ("hang:tasks/{id}:first=1", "cancelled"),
    ],
)
def test_tasks_are_cancelled_after_failures(sandbox: TdxSandbox, fault: str, end: str) -> None:
    sandbox.faults.add(fault)
    shown = made(sandbox.url, timeout=0.5)
    assert numbers(shown, "failed") == {31}
    assert running_tasks(sandbox) == []
    assert {task["end"] for task in shown["tasks"]} == {end}


def test_a_task_whose_start_got_no_answer_is_reported(sandbox: TdxSandbox) -> None:
    sandbox.faults.add("cut:tasks/pull-trade")
    shown = made(sandbox.url)
    assert (numbers(shown, "failed"), numbers(shown, "skipped")) == ({29}, {30, 31})
    [task] = [task for task in shown["tasks"] if task["kind"] == "pull_trade"]
    assert (task["id"], "may still be running" in task["end"]) == ("", True)
    assert f"- pull_trade : {task['end']}" in failure_page(shown, "tdx")


def test_a_task_of_another_client_is_left_alone(sandbox: TdxSandbox) -> None:
    sandbox.state.tasks["theirs"] = Task("theirs", "pull_trade", sandbox.clock, None)
    made(sandbox.url)
    assert [t.id for t in sandbox.state.tasks.values() if t.status == "running"] == ["theirs"]


def test_a_task_that_may_still_run_is_reported(sandbox: TdxSandbox) -> None:
    sandbox.faults.add("error:tasks/{id}")
    shown = made(sandbox.url)
    assert {task["end"].split(":")[0] for task in shown["tasks"]} == {"may still be running"}
    page = failure_page(shown, "tdx")
    assert "## Tasks that may still be running" in page


def test_the_document_has_the_declared_format(sandbox: TdxSandbox) -> None:
    sandbox.faults.add("error:index:message=上游错误")
    shown = made(sandbox.url)
    assert shown["schema_version"] == 1
    assert shown["options"] == {"timeout_s": 10.0, "bulk_timeout_s": 30.0, "verbose": False}
    assert shown["reference_trading_day"] == "2025-06-27"
    assert shown["started_at"] == "2025-06-30T18:00:00+08:00"
    assert shown["summary"] == {
        "total": 31,
        "passed": 30,
        "failed": 1,
        "skipped": 0,
        "pass_rate": 0.9677,
    }
    good, bad = shown["results"][6], shown["results"][9]
    assert good["params"] == {"code": "sz000001", "type": "day", "limit": "50"}
    assert (good["no"], good["bulk"], good["rows"], good["http_status"]) == (7, True, 50, 200)
    assert (good["service_code"], good["service_message"], good["error"]) == (0, "success", None)
    assert bad["error"] == {"kind": "envelope", "detail": "code -1: 上游错误"}
    assert "上游错误" in bad["evidence"]["body_start"]


def test_a_password_in_the_address_is_used_and_never_shown(sandbox: TdxSandbox) -> None:
    shown = made(sandbox.url.replace("http://", "http://user:secret@"))
    assert shown["status"] == "passed"
    assert "secret" not in str(shown)
    assert shown["base_url"] == sandbox.url


def test_the_page_has_a_section_for_each_failure(sandbox: TdxSandbox) -> None:
    sandbox.faults.add("html:kline-history")
    sandbox.faults.add("calendar-empty")
    page = failure_page(made(sandbox.url), "tdx")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## 6 kline_history",
        "## 25 workday",
        "## 26 workday_range",
        "## Skipped",
    ]
    assert "`GET /api/kline-history?code=sz000001&type=minute5&limit=10&full_code=" in page
    assert "<title>502</title>" in page
    assert "- 12 minute: the calendar (check 25) has no previous trading day" in page


def test_the_page_shows_300_bytes_of_a_body(sandbox: TdxSandbox) -> None:
    sandbox.faults.add("empty:kline-all/ths")
    sandbox.faults.add("descending:trade")
    bodies = [
        row["evidence"]["body_start"]
        for row in made(sandbox.url)["results"]
        if row["status"] == "failed"
    ]
    assert max(map(len, bodies)) == 300


def recorded(url: str, settings: Settings, say: Callable[[str], object]) -> int | None:
    made_record = record(made(url), "tdx_selftest")
    prepare = partial(prepare_warehouse, settings, Silent())
    return check_runs.record(settings, prepare, made_record, say)


def test_a_run_is_recorded_with_all_its_checks(
    sandbox: TdxSandbox, warehouse_dsn: str, tmp_path: Path
) -> None:
    settings = make_settings(sandbox.url, warehouse_url=warehouse_dsn, home=tmp_path)
    said: list[str] = []
    sandbox.faults.add("calendar-empty")
    assert recorded(sandbox.url, settings, said.append) == 1
    sandbox.faults.clear()
    assert recorded(sandbox.url, settings, said.append) == 2
    assert said == [f"recorded as run {number} of ops.testing_runs" for number in (1, 2)]
    with psycopg.connect(warehouse_dsn) as conn:
        runs = conn.execute(
            "select kind, schedule, status, total, passed, failed, skipped, "
            "options ->> 'bulk_timeout_s', detail ->> 'reference_trading_day' "
            "from ops.testing_runs order by run_id"
        ).fetchall()
        logs = conn.execute(
            "select no, name, status, reason, evidence ->> 'path' from ops.testing_logs "
            "where run_id = 1 and no in (12, 25, 26) order by no"
        ).fetchall()
        counts = conn.execute("select count(*) from ops.testing_logs group by run_id").fetchall()
    kind = ("selftest", "tdx_selftest")
    assert runs == [
        (*kind, "failed", 31, 23, 2, 6, "30.0", None),
        (*kind, "passed", 31, 31, 0, 0, "30.0", "2025-06-27"),
    ]
    assert counts == [(31,), (31,)]
    reason = "the calendar (check 25) has no previous trading day"
    assert logs == [
        (12, "minute", "skipped", reason, "/api/minute"),
        (
            25,
            "workday",
            "failed",
            "expected a date and 6 previous trading days, got 0 rows",
            "/api/workday",
        ),
        (
            26,
            "workday_range",
            "failed",
            "expected at least 10 trading days in 30 days, got 0 rows",
            "/api/workday/range",
        ),
    ]


def test_an_unavailable_warehouse_is_reported_and_stops_nothing(
    sandbox: TdxSandbox, tmp_path: Path
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"postgresql://u:secret@127.0.0.1:{listener.getsockname()[1]}/x"
        settings = make_settings(sandbox.url, warehouse_url=url, home=tmp_path)
        said: list[str] = []
        assert recorded(sandbox.url, settings, said.append) is None
    assert len(said) == 1
    assert " ops.testing_runs: " in said[0]
    assert "secret" not in said[0]


def test_on_real_files_the_checks_they_can_answer_pass(real_tdx_data: Path) -> None:
    """They have two stocks, neither sz000001 nor a fund, and an index without counts of members."""
    with TdxSandbox(ReplayMarket(real_tdx_data)) as replay:
        shown = made(replay.url)
        assert running_tasks(replay) == []
    assert numbers(shown, "passed") >= {1, 2, 11, 19, 23, 24, 25, 26, 28, 29, 30, 31}
    assert numbers(shown, "failed") >= {3, 5, 7, 10, 12, 17, 20, 21, 22}
    assert shown["reference_trading_day"] == "2011-12-05"
