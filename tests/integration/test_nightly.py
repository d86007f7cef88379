"""The whole of `quotemill run`: its record, its report and its exit code."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest

from loaders import loads
from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.settings import Settings
from orchestration import nightly
from orchestration.alerts.book import on_this_host
from orchestration.run import build, findings
from orchestration.run.build_result import BuildResult
from orchestration.run.findings import Judgement
from orchestration.run.stages import RunResult
from quotemill.errors import UsageError
from tests.bench import settings_at, warehouse_url
from tests.checkout import own_checkout


@pytest.fixture
def settings(prepared_dsn: str, tmp_path: Path) -> Settings:
    alerts = {"disk_percent": 100}
    return settings_at(prepared_dsn, tmp_path / "home", alerts=alerts)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each build; builds succeed and two warnings are judged."""
    builds: list[int] = []

    def built(*_: object, **__: object) -> BuildResult:
        builds.append(1)
        return BuildResult(len(builds), True, "build", 3, 10, 5, 1, 0, (), 0.25)

    monkeypatch.setattr(build, "build", built)
    monkeypatch.setattr(findings, "judge", lambda *_, **__: Judgement({"warning": 2}))
    return builds


def run(
    settings: Settings,
    load: Callable[[LoadRequest], LoadResult],
    *only: str,
    source: str = "tdx",
) -> RunResult:
    def silent() -> AbstractContextManager[Silent]:
        return nullcontext(Silent())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loads, "try_load", lambda _, request, *__, **___: load(request))
        return nightly.run(settings, [source], silent, Silent(), command=f"run {source}", only=only)


def loaded(
    code: int = 0, status: str = "succeeded", job: int | None = 1, error: str | None = None
) -> Callable[[LoadRequest], LoadResult]:
    return lambda r: LoadResult(job, r.source, status, code, (), (), error, "", 0.5, {"retries": 2})


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(warehouse_url(settings)) as conn:
        return conn.execute(query.encode()).fetchall()


def test_a_run_is_recorded_with_the_figures_of_its_stages(
    settings: Settings, builds: list[int]
) -> None:
    result = run(settings, loaded())
    assert result.exit_code == 0
    assert rows(settings, "select run_id, command, exit_code, error from ops.runs") == [
        (result.run_id, "run tdx", 0, None)
    ]
    figures = {
        (stage, source, name): float(value)
        for stage, source, name, value in rows(
            settings, "select stage, source, name, value from ops.metrics"
        )
    }
    assert figures[("load", "tdx", "retries")] == 2
    assert figures[("load", "tdx", "seconds")] == 0.5
    assert figures[("build", "", "models")] == 3
    assert figures[("qa", "", "warning_findings")] == 2
    assert figures[("alerts", "", "open_causes")] == 0
    assert [stage["name"] for stage in result.as_json()["stages"]] == ["alerts", "report"]
    assert figures[("report", "", "bytes")] == (settings.home / "report.html").stat().st_size


@pytest.mark.parametrize(
    ("code", "status", "job"),
    [(4, "failed", 1), (6, "partial", 1), (75, "failed", None), (3, "failed", None)],
)
def test_the_exit_code_of_a_load_is_that_of_the_run_and_is_reported(
    settings: Settings, builds: list[int], code: int, status: str, job: int | None
) -> None:
    result = run(settings, loaded(code, status, job, "why"))
    assert result.exit_code == code
    assert rows(settings, "select exit_code, error from ops.runs") == [(code, "why")]
    cause = "lock:tdx" if code == 75 else "load:tdx"
    assert rows(settings, "select cause from ops.alerts") == [(cause,)]
    assert len(builds) == (1 if job else 0)
    assert run(settings, loaded()).exit_code == 0
    assert rows(settings, "select count(*) from ops.alerts where recovered_at is null") == [(0,)]


def test_new_findings_of_severity_error_are_5(
    settings: Settings, builds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Judgement({"error": 1}, {"error": 1}, {}, 1, newest=17)
    monkeypatch.setattr(findings, "judge", lambda *_, **__: judged)
    assert run(settings, loaded()).exit_code == 5
    assert rows(settings, "select cause, state from ops.alerts") == [("qa", "finding 17")]
    assert rows(settings, "select error from ops.runs") == [("findings: 1 error (1 new)",)]


@pytest.mark.parametrize(("ringing", "code"), [(0, 6), (1, 5)])
def test_a_check_that_cannot_be_read_is_no_success_and_hides_no_finding(
    settings: Settings,
    builds: list[int],
    monkeypatch: pytest.MonkeyPatch,
    ringing: int,
    code: int,
) -> None:
    judged = Judgement({"error": 2}, {}, {}, ringing, newest=17, unread=("qa_options",))
    monkeypatch.setattr(findings, "judge", lambda *_, **__: judged)
    result = run(settings, loaded())
    assert result.exit_code == code
    assert result.as_json()["unread_checks"] == ("qa_options",)


def test_an_internal_error_is_1_recorded_and_reported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "build", Mock(side_effect=ZeroDivisionError("division by zero")))
    result = run(settings, loaded())
    assert result.exit_code == 1
    [(code, error)] = rows(settings, "select exit_code, error from ops.runs")
    assert (code, "ZeroDivisionError" in error) == (1, True)
    assert rows(settings, "select cause from ops.alerts") == [("build",)]


def test_a_failed_stage_stops_only_what_depends_on_it(
    settings: Settings, builds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.archive import write as archives

    monkeypatch.setattr(archives, "archive", Mock(side_effect=OSError("no archive")))
    with_archive = settings.model_copy(
        update={"ib": settings.ib.model_copy(update={"archive_folder": settings.home / "a"})}
    )
    result = run(with_archive, loaded(), "build", "archive", "alerts", source="ib")
    assert [(s.name, s.exit_code) for s in result.stages] == [("archive", 1), ("alerts", 0)]
    assert result.exit_code == 1
    assert rows(settings, "select cause from ops.alerts") == [("archive",)]
    # nothing is archived of what was not built
    failed = BuildResult(1, False, "build", 0, 0, 0, 0, 0, (), 0.1)
    monkeypatch.setattr(build, "build", lambda *_, **__: failed)
    result = run(with_archive, loaded(), "build", "archive", "alerts", source="ib")
    assert [s.name for s in result.stages] == ["alerts"]


def test_the_next_run_reports_that_a_report_could_not_be_written(
    settings: Settings, builds: list[int]
) -> None:
    (settings.home / "report.html").mkdir(parents=True)
    result = run(settings, loaded())
    assert (result.exit_code, result.stages[-1].name) == (3, "report")
    assert "cannot be written" in str(result.why.error)
    (settings.home / "report.html").rmdir()
    assert run(settings, loaded()).exit_code == 0
    assert rows(settings, "select cause, recovered_at from ops.alerts") == [
        (on_this_host("report"), None)
    ]
    run(settings, loaded())
    assert rows(settings, "select cause from ops.alerts where recovered_at is null") == []


def test_a_cancelled_load_ends_the_run(settings: Settings, builds: list[int]) -> None:
    result = run(settings, loaded(130, "cancelled"))
    assert (result.exit_code, result.stages, builds) == (130, (), [])
    assert rows(settings, "select exit_code from ops.runs") == [(130,)]


def test_unknown_stages_are_refused(settings: Settings) -> None:
    with pytest.raises(UsageError, match=" lod"):
        run(settings, loaded(), "lod")
    assert run(settings, loaded(4), "alerts").loads == ()


@pytest.mark.soak
def test_a_night_drops_the_days_that_are_older_than_a_retain(
    settings: Settings, builds: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = own_checkout(tmp_path / "checkout") / "models/staging/tdx/_tdx__sources.yml"
    monkeypatch.chdir(tmp_path / "checkout")
    days = "select now()::date - trade_date > 365 from raw_tdx.kline_minute order by 1"
    rows(
        settings,
        "insert into raw_tdx.kline_minute (code, bar_end, trade_date, source_label, open, high, "
        "low, close, volume, route_no, file_no, fetched_at, is_final) select 'sh600000', "
        "day + interval '2 hours', day::date, '09:31', 1, 1, 1, 1, 1, 1, 1, now(), true from "
        "unnest(array[now() - interval '2 years', now() - interval '9 days']) as day returning 1",
    )

    assert [stage.name for stage in run(settings, loaded()).stages] == ["alerts", "report"]
    text = sources.read_text("utf-8")
    sources.write_text(text.replace("order_by: bar_end", "retain: 1 year, order_by: bar_end"))
    unread = "insert into ops.changes (table_name) values ('raw_tdx.kline_minute') returning 1"
    rows(settings, unread)
    waiting = run(settings, loaded()).stages[0]
    assert (waiting.exit_code, "market.kline_5m" in waiting.summary) == (0, True)
    assert len(rows(settings, days)) == 2
    rows(settings, "delete from ops.changes returning 1")
    dropped = run(settings, loaded()).stages[0]
    assert (dropped.name, dropped.summary.endswith("dropped")) == ("retention", True)
    assert rows(settings, days) == [(False,)]
