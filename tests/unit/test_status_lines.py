"""`status` prints a line for each dataset: its keys and its freshness together."""

import re
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from loaders.check import Check
from loaders.cli import jobs, shell
from loaders.cli.checks import print_checks
from loaders.engine import job_list
from loaders.settings import load_settings
from loaders.trading_time import format_time
from orchestration.checks import status
from orchestration.cli import inspect
from orchestration.cli.settings import init_command

JOB = {
    **dict.fromkeys(("done", "skipped", "failed", "rows_new", "rows_changed"), 0),
    "job_id": 1,
    "started_at": datetime(2024, 6, 28, 9, tzinfo=UTC),
    "source": "tdx",
    "parameters": {"options": {}},
    "mode": "incremental",
    "status": "succeeded",
    "error": None,
}
KEYS = {"dataset": "kline_daily", "keys": 12, "newest": "2024-06-28", "oldest": "2024-06-28"}


def test_loads_are_in_the_time_of_their_exchange_and_of_several_in_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for source, shown in (("tdx", "17:00:00 Shanghai"), ("ib", "05:00:00 New York")):
        jobs.print_jobs({"jobs": [JOB | {"source": source}], "tasks": (), "datasets": ()})
        assert f"load    1  2024-06-28 {shown}  {source} " in capsys.readouterr().out
    jobs.print_jobs({"jobs": [JOB, JOB | {"source": "ib"}], "tasks": (), "datasets": ()})
    assert capsys.readouterr().out.count(format_time(JOB["started_at"])) == 2


def test_why_a_load_failed_is_printed_once_with_its_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "no response at 127.0.0.1:8080"
    task = {"task_no": 1, "dataset": "codes", "exchange": None, "status": "failed", "keys": 1}
    failure = {"failure_id": 1, "job_id": 1, "source": "tdx", "dataset": "kline_daily"}
    failure |= {"key": "sh600000", "reason": "no bar", "acknowledged_at": None}
    shown: dict[str, Any] = {
        "warehouse": "here",
        "jobs": [JOB | {"job_id": 4, "status": "failed", "error": f"{why} (start it)"}, JOB],
        "tasks": [task | {"done": 0, "skipped": 0, "failed": 1, "cursor_payload": {}}],
        "datasets": (),
        "failed_keys": [failure, failure | {"key": "sh600001", "acknowledged_at": "now"}],
    }
    jobs.print_report(load_settings({}, cwd=tmp_path, home=tmp_path), shown)
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines[:4]] == [
        f"warn  load  load 4 of tdx failed: {why} (start it)",
        "fix: after you fix the cause: quotemill retry 4",
        "warn  keys  keys that load 1 of tdx could not load: kline_daily sh600000: no bar",
        "fix: quotemill retry 1",
    ]
    assert lines[4].startswith("load    4 ")
    assert lines[5] == "  task 1  codes failed: 1 of 1"
    assert [line[:9] for line in lines[6:]] == ["load    1"]


def test_a_fix_is_printed_below_its_checks_and_notes_are_no_ok(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stale = [Check("status", "warn", f"{name} is stale", "quotemill run") for name in "ab"]
    print_checks([*stale, Check("backup", "ok", "none yet", "quotemill backup"), stale[0]])
    printed = [line.split(None, 2) for line in capsys.readouterr().out.splitlines()]
    assert [" ".join(words) for words in printed] == [
        "warn status a is stale",
        "warn status b is stale",
        "fix: quotemill run",
        "note backup none yet",
        "fix: quotemill backup",
        "warn status a is stale",
        "fix: quotemill run",
    ]


def test_lines_break_between_words_on_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = f"{'some words ' * 3}quotemill findings --ack 1 ends it, or nothing"
    check = Check("status", "warn", text, "quotemill run")
    print_checks([check])
    assert len(capsys.readouterr().out.splitlines()) == 2
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_checks([check])
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"warn  status  {'some words ' * 3}".rstrip()
    assert rest == [
        f"{'':14}quotemill findings --ack 1 ends it, or nothing",
        f"{'':14}fix: quotemill run",
    ]


def test_a_chinese_character_takes_two_places_of_a_line() -> None:
    text = "the servers say 用户权限认证失败 (401, {'error': 'invalid_grant'})"
    assert shell.wrap_line(text, 40) == (
        "the servers say 用户权限认证失败 (401,\n    {'error': 'invalid_grant'})"
    )
    assert shell.wrap_line(text, 37).startswith("the servers say 用户权限认证失败\n")


def test_problems_come_first_and_each_dataset_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loads: dict[str, Any] = {
        "warehouse": "here",
        "jobs": [JOB],
        "tasks": [],
        "datasets": [KEYS],
        "failures": {},
    }
    freshness = [
        {
            "dataset": dataset,
            "is_stale": dataset == "ticks",
            "last_date": date(2024, 6, 28) if dataset != "ticks" else None,
            "expected_date": date(2024, 6, 28),
        }
        for dataset in ("kline_daily", "ticks")
    ]
    shown = SimpleNamespace(
        loads=loads,
        freshness=freshness,
        findings=(),
        problems=(Check("status", "warn", "load 1 of tdx failed", "quotemill retry 1"),),
        builds=(),
        ticks=None,
        timescale=None,
    )
    monkeypatch.setattr(status, "read_status", lambda *_: shown)
    monkeypatch.setattr(inspect, "keep_current_warehouse", lambda _: nullcontext())
    inspect.status_command(limit=5, as_of=None, json=False)
    place, problem, fix, load, *printed = capsys.readouterr().out.splitlines()
    assert place.startswith("warehouse: ")
    assert problem == "warn  status  load 1 of tdx failed"
    assert fix.strip() == "fix: quotemill retry 1"
    assert load.startswith("load    1 ")
    assert [line for line in printed if "kline_daily" in line] == [
        "kline_daily           12 keys; fresh: up to 2024-06-28"
    ]
    assert [line for line in printed if "ticks" in line] == [
        "ticks                 stale: no row, expected 2024-06-28"
    ]


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        ([], 0),
        ([("reconciliation", 75)], 75),
        ([("reconciliation", 75), ("load", 4)], 4),
        ([("tick store", 4), ("schedule", 3)], 0),
        ([("load", 4), ("schedule", 1)], 1),
    ],
)
def test_status_exits_by_the_checks_that_could_not_be_made(
    failed: list[tuple[str, int]],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    problems = [Check("load", "warn", "load 1 of tdx failed", "quotemill retry 1")]
    problems += [Check(name, "fail", "why", exit_code=code) for name, code in failed]
    loads = {"warehouse": "here", "jobs": [], "tasks": [], "datasets": [], "failures": {}}
    shown = status.Status(loads, [], [], [], problems)
    monkeypatch.setattr(status, "read_status", lambda *_: shown)
    monkeypatch.setattr(inspect, "keep_current_warehouse", lambda _: nullcontext())
    for json in (False, True):
        with pytest.raises(typer.Exit) if code else nullcontext() as ended:
            inspect.status_command(limit=5, as_of=None, json=json)
        assert (ended.value.exit_code if ended else 0) == code
        assert capsys.readouterr().out.count("load 1 of tdx failed") == 1 + json  # its older name


@pytest.mark.parametrize(
    ("variables", "fix"),
    [
        ({}, "quotemill init"),
        ({"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}, "quotemill run"),
        ({"QUOTEMILL_TDX__DOWNLOAD": "true"}, "quotemill run"),
        (
            {"QUOTEMILL_TDX__CLIENT": "/no/such/client"},
            "Mount /no/such/client, or correct tdx.client (environment QUOTEMILL_TDX__CLIENT), "
            "then quotemill run",
        ),
    ],
)
@pytest.mark.parametrize("has_file", [False, True])
def test_the_first_fix_works(
    variables: dict[str, str],
    fix: str,
    has_file: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if has_file:
        init_command()
        if not variables:
            fix = f"Set tdx.client or tdx.base_url in {tmp_path / 'quotemill.toml'}."
    settings = load_settings(variables, cwd=tmp_path, home=tmp_path / "home")
    [problem] = status.read_status(settings, None).problems
    assert (problem.sentence, problem.fix) == ("nothing was loaded yet", fix)
    jobs.print_report(settings, job_list.report(None))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()[-2:]] == [
        "warn  load  nothing was loaded yet",
        f"fix: {fix}",
    ]


def test_a_settings_file_that_does_not_count_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner, home = tmp_path / "inner", tmp_path / "home"
    for folder in (inner, home):
        folder.mkdir()
        (folder / "quotemill.toml").touch()
    outer, other = tmp_path / "quotemill.toml", tmp_path / "other.toml"
    outer.touch()
    other.touch()
    monkeypatch.chdir(inner)

    def read_lines(**variables: str) -> list[str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        jobs.print_place(load_settings(cwd=inner, home=home), "none yet")
        return capsys.readouterr().out.splitlines()

    [ignored] = read_lines()[1:]
    assert re.findall(r"/\S*quotemill\.toml", ignored) == [str(outer)]
    _, unread = read_lines(QUOTEMILL_CONFIG=str(other))
    named = re.findall(r"/\S*quotemill\.toml", unread)
    assert named == [str(inner / "quotemill.toml"), str(outer)]
    outer.unlink()
    monkeypatch.delenv("QUOTEMILL_CONFIG")
    assert read_lines()[1:] == []
