"""Data that are late are an alert and a figure, with a fix that can work."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from loaders import sources
from loaders.engine.metrics import Metric
from loaders.engine.result import LoadResult
from loaders.settings import load_settings
from orchestration import nightly
from orchestration.alerts import causes
from orchestration.cli.run import run_all
from orchestration.run.lags import Lag
from orchestration.run.stages import RunResult

SERVICE = {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
DOWNLOAD = {"QUOTEMILL_TDX__DOWNLOAD": "true"}
CLIENT = {"QUOTEMILL_TDX__CLIENT": "/srv/tdx"}


def late(days: int) -> RunResult:
    lag = Lag("tdx", "kline_daily", date(2015, 1, 5), date(2024, 8, 2), days)
    return RunResult((), 0, lags=(lag,))


@pytest.mark.parametrize(
    ("variables", "fix"),
    [
        (SERVICE, "quotemill run"),
        ({}, "Set QUOTEMILL_TDX__CLIENT or QUOTEMILL_TDX__BASE_URL, then quotemill run"),
        (CLIENT, "Download the latest bars in the client of /srv/tdx, then quotemill run"),
    ],
)
def test_late_data_are_an_alert_whose_fix_can_work(
    variables: dict[str, str], fix: str, tmp_path: Path
) -> None:
    settings = load_settings(variables, cwd=tmp_path, home=tmp_path)
    cause = causes.check_run(late(2330), settings)["stale:tdx"]
    assert cause is not None
    assert re.search("kline_daily .* 2015-01-05, .* 2024-08-02", cause.sentence)
    assert re.findall(r"\d[\d,]*", str(cause.note)) == ["2,330"]
    assert cause.fix.startswith(fix)
    assert ("findings --ack NUMBER --reason" in cause.fix) == (variables is CLIENT)
    down = LoadResult(1, "tdx", "failed", 4, (), (), "nobody answers", "start it", 1.0)
    cause = causes.check_run(replace(late(2330), loads=(down,)), settings)["stale:tdx"]
    assert cause is not None
    assert cause.fix.endswith(": quotemill retry 1")


def test_data_of_a_service_that_has_ended_are_late_for_another_reason(tmp_path: Path) -> None:
    result = late(2330)
    asked = datetime(2024, 8, 3, tzinfo=UTC)
    ended = replace(result, lags=tuple(replace(lag, loaded_at=asked) for lag in result.lags))
    for variables, fix in (
        (SERVICE, "the service itself ends on 2015-01-05: once it continues, quotemill run"),
        ({"QUOTEMILL_TDX__SERVERS": "public"}, "the quote servers end 2015-01-05. Try again"),
        (DOWNLOAD, "quotemill run tdx"),
        (CLIENT, "Download the latest bars in the client of /srv/tdx, then quotemill run"),
    ):
        settings = load_settings(variables, cwd=tmp_path, home=tmp_path)
        cause = causes.check_run(ended, settings)["stale:tdx"]
        assert cause is not None
        assert cause.fix.startswith(fix)


def test_a_lag_of_a_source_that_is_gone_raises_nothing(tmp_path: Path) -> None:
    lag = replace(late(2).lags[0], source="gone", loaded_at=datetime(2024, 8, 4, tzinfo=UTC))
    settings = load_settings({}, cwd=tmp_path, home=tmp_path)
    assert (lag.has_ended, lag.check(settings).fix) == (False, "")


@pytest.mark.parametrize("source", ["tdx", "tq", "ib"])
def test_a_run_says_that_the_data_of_a_service_have_ended(
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = load_settings(SERVICE, cwd=tmp_path, home=tmp_path)
    for asked, says in (
        (datetime(2024, 8, 4, tzinfo=UTC), [f"warning: {source}: the service itself ends on"]),
        (datetime(2024, 8, 1, tzinfo=UTC), []),
    ):
        lag = replace(late(2).lags[0], source=source, loaded_at=asked)
        result = RunResult((), 0, lags=(lag,))
        monkeypatch.setattr(nightly, "run", lambda *_, result=result, **__: result)
        run_all(settings, source=source)
        lines = capsys.readouterr().err.splitlines()
        assert [line.partition(" 2015-")[0] for line in lines] == says


@pytest.mark.parametrize(
    ("events", "fix"),
    [
        (None, "Set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file or xdxr, then"),
        ("gbbq", "Set QUOTEMILL_TDX__CLIENT to the folder that has gbbq, then"),
        ("xdxr", "quotemill run"),
        ("/srv/events.csv", "Add the newer events to /srv/events.csv, then"),
    ],
)
def test_late_events_beside_a_service_are_fixed_where_they_come_from(
    events: str | None, fix: str, tmp_path: Path
) -> None:
    given = SERVICE | ({"QUOTEMILL_TDX__CORPORATE_ACTIONS": events} if events else {})
    settings = load_settings(given, cwd=tmp_path, home=tmp_path)
    named = sources.find_operations("tdx").stale_fix(settings, "corporate_actions")
    assert named.startswith(fix)
    assert "None" not in named


@pytest.mark.parametrize(("days", "after", "rings"), [(4, 5, 0), (5, 5, 1), (9, 10, 0), (9, 0, 0)])
def test_the_days_after_which_data_are_late_are_a_setting(
    days: int, after: int, rings: bool, tmp_path: Path
) -> None:
    variables = SERVICE | {"QUOTEMILL_TDX__STALE_AFTER": str(after)}
    settings = load_settings(variables, cwd=tmp_path, home=tmp_path)
    cause = causes.check_run(late(days), settings)["stale:tdx"]
    assert (cause is not None) == rings


def test_a_further_late_dataset_is_sent_beside_the_latest(tmp_path: Path) -> None:
    settings = load_settings(SERVICE, cwd=tmp_path, home=tmp_path)
    states = set()
    for names in ("kline_daily", "codes kline_daily"):
        lags = tuple(replace(lag, late=names) for lag in late(2330).lags)
        cause = causes.check_run(RunResult((), 0, lags=lags), settings)["stale:tdx"]
        assert cause is not None
        states.add(cause.state)
    assert len(states) == 2


def test_how_late_data_are_is_a_figure_of_the_run() -> None:
    assert Metric("freshness", "tdx", "days_behind", 7) in late(7).metrics
