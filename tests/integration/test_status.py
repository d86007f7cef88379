"""`status`, `doctor`, `findings` and `cancel` on a warehouse with few or no loads."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loaders.engine.jobs import request_cancel, source_of, start_job
from loaders.engine.request import LoadRequest
from loaders.sandbox.world.market import SyntheticMarket
from loaders.ticks import store_state
from loaders.trading_time import format_time, horizon
from loaders.warehouse.content import content_id
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from orchestration.checks import findings as wrong
from orchestration.checks import gather, status
from orchestration.report import runs
from orchestration.run import findings, history
from orchestration.run.build_record import build_lock
from orchestration.schedule import jobs as scheduled
from orchestration.schedule import ledger
from quotemill.errors import UsageError
from tests.integration.tdx_load.bench import Bench, bench


@pytest.fixture
def made(new_database: Callable[[], str], tmp_path: Path) -> Iterator[Bench]:
    """An empty database, and a small market to load from."""
    with bench(SyntheticMarket(codes=12, days=40, seed=5), new_database(), tmp_path) as empty:
        yield empty


def fixes(shown: status.Status) -> list[tuple[str, str]]:
    return [(check.sentence, check.fix) for check in shown.problems]


def test_status_of_an_empty_warehouse_says_what_to_type(made: Bench) -> None:
    shown = status.read_status(made.settings, open_warehouse(made.settings))

    with open_warehouse(made.settings).connect() as conn:
        assert findings.list_findings(conn, "qa") == []
        said = {str(findings.judge(conn, "qa")), str(wrong.read_wrong(None).counts)}
    said.add(str(wrong.read_wrong(open_warehouse(made.settings)).counts))
    assert said == {"nothing is built yet, so nothing was checked"}
    with pytest.raises(UsageError, match="no load is running"):
        request_cancel(open_warehouse(made.settings))

    assert fixes(shown) == [("nothing was loaded yet", "quotemill run")]


def test_a_killed_build_is_shown_as_interrupted(made: Bench) -> None:
    made.load(codes=("sh600000",), datasets=("codes",))
    made.execute("insert into ops.runs (run_id, command, build_id) values ('build-1', '', 1)")
    warehouse = open_warehouse(made.settings)

    def read_statuses() -> list[str]:
        with warehouse.connect() as conn:
            recorded = runs.read_runs(
                conn, datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC)
            ).builds
        return [
            build["status"]
            for build in (*status.read_status(made.settings, warehouse).builds, *recorded)
        ]

    with build_lock(warehouse):
        assert read_statuses() == ["running"] * 2
    assert read_statuses() == ["interrupted"] * 2
    assert ("build 1 interrupted", "quotemill build") in fixes(
        status.read_status(made.settings, warehouse)
    )
    with history.recorded(warehouse, "run tq"):
        made.execute("insert into ops.runs (run_id, command, build_id) values ('build-2', '', 2)")
    assert ("build 2 interrupted", "quotemill run tq") in fixes(
        status.read_status(made.settings, warehouse)
    )


def test_a_configured_source_without_loads_is_reported(made: Bench) -> None:
    made.load(codes=("sh600000",), datasets=("codes",))
    warehouse = open_warehouse(made.settings)
    ib = made.settings.ib.model_copy(update={"host": "127.0.0.1"})
    settings = made.settings.model_copy(update={"ib": ib})
    problem = ("nothing has been loaded from ib yet", "quotemill run ib")
    for read, is_named in ((settings, True), (made.settings, False)):
        checks = gather.examine(read)
        assert (problem in fixes(status.read_status(read, warehouse))) == is_named
        assert (problem in [(check.sentence, check.fix) for check in checks]) == is_named


def test_status_reports_overdue_jobs_and_disabled_ones_of_stale_data(made: Bench) -> None:
    made.load(codes=("sh600000",), datasets=("codes",))
    warehouse = open_warehouse(made.settings)
    night = datetime(2025, 6, 30, 10, tzinfo=UTC)
    jobs = scheduled.read_jobs(made.settings)

    def list_fixes(as_of: datetime) -> list[tuple[str, str]]:
        shown = status.read_status(made.settings, warehouse, as_of=as_of)
        return [fix for fix in fixes(shown) if "tdx_daily" in fix[0]]

    with warehouse.connect() as conn:
        ledger.register_jobs(conn, jobs.values(), night)
        [start] = [row.next_run_at for row in ledger.read_rows(conn) if row.name == "tdx_daily"]
    assert start is not None
    assert list_fixes(night) == []
    late = f"nothing started tdx_daily of {format_time(start, 'Asia/Shanghai', 'minutes')}"
    assert list_fixes(start + timedelta(days=2)) == [(late, ledger.describe_overdue_fix())]
    with warehouse.connect() as conn:
        ledger.disable(conn, jobs["tdx_daily"], night)
    assert list_fixes(start + timedelta(days=2)) == []  # disabled on purpose, and no data are stale
    made.execute("create schema if not exists qa")
    made.execute(
        "create table qa.freshness as select 'kline_daily' as dataset, 'tdx' as source, "
        "date '2025-06-27' as last_date, date '2025-07-01' as expected_date, "
        "true as is_stale, 2 as lag_trading_days"
    )
    assert list_fixes(start + timedelta(days=2)) == [
        ("tdx_daily is disabled", "quotemill schedule enable tdx_daily")
    ]


def test_freshness_that_cannot_be_read_is_one_failed_row(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.load(codes=("sh600000",), datasets=("codes",))
    made.execute("create schema if not exists qa")
    made.execute("create view qa.freshness as select 'codes' as dataset, 1 / 0 as is_stale")
    monkeypatch.setattr(store_state, "is_used", lambda _: 1 / 0)
    shown = status.read_status(made.settings, open_warehouse(made.settings))
    problems = [(check.name, check.verdict, check.exit_code) for check in shown.problems]
    assert problems == [("tick store", "fail", 1), ("freshness", "fail", 1)]
    assert (shown.freshness, shown.ticks) == ([], None)
    checks = gather.examine(made.settings, names=["schedule"])
    assert [(check.verdict, check.sentence) for check in checks] == [
        ("ok", "no job starts automatically")
    ]


def test_records_and_findings_that_cannot_be_read_hide_no_other_check(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.load(codes=("sh600000",), datasets=("codes",))
    monkeypatch.setattr(store_state, "is_used", lambda _: 1 / 0)
    for change, name in (
        ("create schema if not exists qa; create view qa.findings as select 1 / 0", "findings"),
        ("alter table ops.ingestion_jobs rename column mode to gone", "load"),
    ):
        made.execute(change)
        shown = status.read_status(made.settings, open_warehouse(made.settings))
        failed = [check.name for check in shown.problems if check.verdict == "fail"]
        assert failed == ["tick store", name]
    assert (shown.loads["jobs"], shown.findings) == ([], [])


@pytest.mark.parametrize(
    ("expected", "lag", "is_end"),
    [("2025-06-27", 1, True), ("2025-06-30", 2, True), ("2025-06-30", 1, False)],
)
def test_a_service_that_ended_is_named_in_place_of_a_run(
    made: Bench, expected: str, lag: int, *, is_end: bool
) -> None:
    """What was asked for on a later day than the first missing one is not there."""
    made.load()  # as of 2025-06-30
    made.execute("create schema if not exists qa")
    made.execute(
        "create table qa.freshness as select 'kline_daily' as dataset, 'tdx' as source, "
        f"date '2025-06-26' as last_date, date '{expected}' as expected_date, "
        f"true as is_stale, {lag} as lag_trading_days"
    )
    shown = status.read_status(made.settings, open_warehouse(made.settings))
    [fix] = [fix for text, fix in fixes(shown) if text.startswith("kline_daily ends 2025-06-26")]
    assert (" 2025-06-26: " in fix) == is_end
    assert (fix == "quotemill run") == (not is_end)


def test_cancel_needs_a_job_while_several_sources_load(made: Bench) -> None:
    made.load(codes=("sh600000",), datasets=("codes",))
    warehouse = open_warehouse(made.settings)
    with load_lock(warehouse, "a"), load_lock(warehouse, "b"):
        running = {
            name: start_job(
                warehouse,
                content_id(warehouse),
                name,
                LoadRequest(name),
                "init",
                datetime(2025, 6, 30, tzinfo=UTC),
            )
            for name in ("a", "b")
        }
        with pytest.raises(UsageError, match="several loads are running"):
            request_cancel(warehouse)
        assert request_cancel(warehouse, "a") == running["a"]
        assert request_cancel(warehouse, None, running["b"]) == running["b"]
        with pytest.raises(UsageError, match="no load of tdx is running"):
            request_cancel(warehouse, "tdx")
        assert source_of(warehouse, running["b"]) == "b"
        with pytest.raises(UsageError, match=" 99"):
            source_of(warehouse, 99)


def test_status_without_ticks_shows_no_tick_store(made: Bench) -> None:
    made.load(codes=("sh600000",), datasets=("codes",))
    shown = status.read_status(made.settings, open_warehouse(made.settings))
    assert (shown.ticks, shown.as_json()["tick_store"]) == (None, None)


def test_doctor_reports_a_foreign_schema(made: Bench) -> None:
    made.execute("create schema market; create table market.positions (id int)")

    checks = {check.name: check for check in gather.examine(made.settings)}

    assert checks["ownership"].verdict == "fail"
    assert "positions (table)" in checks["ownership"].sentence


def test_a_missing_reader_role_is_reported(made: Bench) -> None:
    made.settings = made.settings.model_copy(update={"reader_role": "nobody_reads"})
    made.load(codes=("sh600000",))

    assert any("nobody_reads " in line for line in made.heard.lines)


def test_doctor_checks_shanghai_holidays_only_with_a_source_there(made: Bench) -> None:
    def named() -> set[str]:
        return {check.name for check in gather.examine(made.settings)}

    assert "horizon" in named()
    tdx = made.settings.tdx.model_copy(update={"base_url": None})
    made.settings = made.settings.model_copy(update={"tdx": tdx})
    assert "horizon" not in named()


def test_doctor_judges_holidays_as_of_the_time_asked(made: Bench) -> None:
    late = datetime(horizon().year + 1, 1, 5, tzinfo=UTC)

    def verdict(as_of: datetime | None) -> str:
        now = late - timedelta(days=200)
        checks = gather.examine(made.settings, now, as_of=as_of, names=["files"])
        return {check.name: check.verdict for check in checks}["horizon"]

    assert (verdict(None), verdict(late)) == ("ok", "warn")
