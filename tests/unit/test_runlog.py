"""The log of commands: lines for programs, without secrets, only once a command started it."""

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders import log as runlog
from loaders.cli import shell
from loaders.settings import load_settings
from quotemill.errors import UpstreamError, UsageError
from tests.e2e.commands import Place

SECRETS = {
    "QUOTEMILL_WAREHOUSE_URL": "postgresql://u:p%40ss-word@h/d",
    "QUOTEMILL_TQ__PASSWORD": "very-secret",
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "logs"
    runlog.start(folder, runlog.collect_secrets(load_settings(SECRETS, cwd=tmp_path)))
    yield folder
    runlog.stop()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob(runlog.FILES))
        for line in path.read_text("utf-8").splitlines()
    ]


def test_a_line_says_when_how_bad_of_what_and_what(log: Path) -> None:
    before = datetime.now(UTC)
    runlog.write("warning", "首 line\nof two", source="ib", job=12, detail={"at": before})
    [path] = log.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    [line] = lines(log)
    at = datetime.fromisoformat(line.pop("at"))
    assert line.pop("run") == runlog.run_id()
    assert abs((at - before).total_seconds()) < 60
    assert path.name == f"run-{at:%Y-%m-%d}.jsonl"
    assert line == {
        **{"level": "warning", "source": "ib", "job": 12, "event": "首 line\nof two"},
        "detail": {"at": str(before)},
    }


def test_lines_of_a_build_have_its_number(log: Path) -> None:
    runlog.write("info", "before")
    runlog.name_build(7)
    runlog.write("info", "within", source="tdx", job=3)
    runlog.name_build(None)
    runlog.write("info", "after")
    assert [line.get("build") for line in lines(log)] == [None, 7, None]


def test_a_line_has_its_place_and_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runlog.RUN_ID, "20261121T093000-4f2a")
    monkeypatch.setenv(runlog.SCHEDULE, "tdx_daily")
    runlog.start(tmp_path)
    runlog.write("info", "x", source="tdx", job=3, task=2, dataset="codes", code="c", attempt=4)
    runlog.stop()
    [line] = lines(tmp_path)
    line.pop("at")
    assert line == {
        **{"level": "info", "run": "20261121T093000-4f2a", "schedule": "tdx_daily"},
        **{"source": "tdx", "job": 3, "task": 2, "dataset": "codes", "code": "c", "attempt": 4},
        "event": "x",
    }


def test_each_run_has_its_own_id_that_orders_by_start(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        runlog.start(tmp_path)
        ids.append(runlog.run_id())
    runlog.stop()
    assert ids[0] != ids[1]
    assert ids[0][:16] <= ids[1][:16]


def test_no_secret_is_written(log: Path) -> None:
    texts = (
        "postgresql://u:p%40ss-word@h/d is away",
        'connect failed: password=p@ss-word token: "abc-def"',
        "Authorization: Bearer abc.def-ghi",
        "http://someone:else@10.0.0.1/x said very-secret",
    )
    for text in texts:
        runlog.write("error", text, detail={"why": [text], text: 1}, traceback=text)
    values = "".join(path.read_text() for path in log.iterdir())
    for secret in ("ss-word", "very-secret", "abc", "else"):
        assert secret not in values, secret
    assert "is away" in values
    assert "10.0.0.1/x said" in values


def test_texts_and_details_have_an_end(log: Path) -> None:
    runlog.write("info", "x" * 50_000, detail={str(n): n for n in range(5_000)})
    [line] = lines(log)
    assert len(line["event"]) == runlog.LONGEST
    assert len(line["detail"]) == runlog.MOST


def test_warnings_and_errors_of_a_command_are_in_it(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_HOME", str(log.parent))
    shell.route_logs(lambda _: None)
    logging.getLogger("loaders.tdx.client.connection").warning("down for %d s", 5)
    error = UpstreamError("no gateway", hint="wait")
    error.source = "ib"
    shell.print_error(error)
    try:
        raise ZeroDivisionError("by very-secret")
    except ZeroDivisionError as error:
        shell.print_error(runlog.explain(error))
    assert "no gateway" in capsys.readouterr().err
    events = [(line["level"], line["source"], line["event"]) for line in lines(log)]
    assert events[:2] == [("warning", "tdx", "down for 5 s"), ("error", "ib", "no gateway")]
    assert events[2][0] == "critical"
    assert "test_runlog.py" in lines(log)[2]["traceback"]
    assert "very-secret" not in lines(log)[2]["traceback"]
    [trace] = log.glob("error-*.log")
    assert "ZeroDivisionError: by ***" in trace.read_text()


@pytest.mark.parametrize(
    "command",
    [
        "loaders selftest tdx",
        "loaders verify tdx",
        "loaders verify tq",
        "quotemill reconcile",
        "quotemill selfcheck ib",
    ],
)
def test_a_command_that_only_reads_writes_a_log_too(command: str, tmp_path: Path) -> None:
    logs = tmp_path / "home" / "logs"
    logs.mkdir(parents=True)
    place = Place(tmp_path, logs.parent, {"QUOTEMILL_EMBEDDED_SERVER": "false"})
    done = place.inside(*command.split())
    assert done.returncode == 3, done.stderr
    [line] = lines(logs)
    assert f"error: {line['event']}" in done.stderr


def test_nothing_is_written_before_it_is_started_and_no_home_made_for_a_wrong_call(
    tmp_path: Path,
) -> None:
    runlog.write("error", "lost")
    folder = tmp_path / "home" / "logs"
    runlog.start(folder)
    runlog.write_error(UsageError("no such day"))
    assert list(tmp_path.iterdir()) == []
    runlog.write_error(UpstreamError("no gateway"))
    runlog.write_error(UsageError("no such day"))
    runlog.stop()
    # what a user typed wrong is no error of the day
    assert [(line["event"], line["level"]) for line in lines(folder)] == [
        ("no gateway", "error"),
        ("no such day", "info"),
    ]


def test_an_error_of_a_source_has_its_name_and_no_traceback(log: Path) -> None:
    try:
        raise UpstreamError("no gateway") from OSError("refused")
    except UpstreamError as error:
        error.source = "ib"
        shell.print_error(error)
    [line] = lines(log)
    assert (line["level"], line["source"], "traceback" in line) == ("error", "ib", False)


def test_an_error_that_was_a_warning_is_not_printed_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell.route_logs(lambda _: None)
    for number in range(1_000):
        logging.getLogger("loaders.tdx").warning("fault %d. The load continues", number)
    shell.print_error(UpstreamError("fault 999", hint="wait"))
    assert "fault" not in capsys.readouterr().err
    assert len(shell._warned) <= 100


def test_secrets_within_objects_are_not_written(log: Path) -> None:
    runlog.write("error", "x", detail={"why": OSError("by very-secret"), "in": {"very-secret"}})
    assert "very-secret" not in "".join(path.read_text() for path in log.iterdir())


def test_a_log_goes_on_once_it_can_be_written_again(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    shell.route_logs(said.append)
    whole = os.write
    with monkeypatch.context() as patch:  # a disk that is full within a line
        patch.setattr(os, "write", lambda file, line: whole(file, line[:20]))
        runlog.write("info", "first")
    runlog.write("info", "second")
    runlog.write("info", "third")
    [path] = log.iterdir()
    torn, *rest = path.read_text().splitlines()
    assert len(torn) == 20
    assert [json.loads(line)["event"] for line in rest] == ["second", "third"]
    [line] = said
    assert line.partition(": ")[0].endswith(f" {log}")


def test_a_log_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    said: list[str] = []
    shell.route_logs(said.append)
    runlog.start(tmp_path / "logs")
    for _ in range(3):
        runlog.write("info", "x")
    runlog.stop()
    [line] = said
    assert line.partition(": ")[0].endswith(f" {tmp_path / 'logs'}")


def test_errors_of_a_day_are_also_in_a_separate_file(log: Path) -> None:
    for level in ("info", "warning", "error", "critical"):
        runlog.write(level, level)
    [path] = log.glob("errors-*.jsonl")
    events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    assert events == ["error", "critical"]
    assert len(lines(log)) == 4


def test_a_file_that_has_grown_continues_under_a_number(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runlog, "LARGEST", 2_000)
    for number in range(40):
        runlog.write("info", f"{number} {'x' * 200}")
    names = sorted(path.name for path in log.glob(runlog.FILES))
    assert len(names) > 3
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    assert {runlog.file_day(name) for name in names} == {day}
    assert len(lines(log)) == 40
    assert all(path.stat().st_size < 3_000 for path in log.iterdir())


def test_old_files_go_and_the_oldest_while_all_are_too_large(tmp_path: Path) -> None:
    today = datetime.now(UTC)

    def name(days: int, form: str = "run-{}.jsonl") -> str:
        path = tmp_path / form.format(f"{today - timedelta(days=days):%Y-%m-%d}")
        path.write_bytes(b"x" * 700_000)
        return path.name

    old = [name(11), name(11, "errors-{}.jsonl"), name(12, "run-{}.1.jsonl")]
    newest = [name(1), name(2), name(9), name(9, "errors-{}.jsonl")]
    (tmp_path / "dbt.log").write_text("not ours")
    old_trace = tmp_path / "error-20200101T000000Z.log"
    old_trace.write_text("a traceback")
    runlog.start(tmp_path, days=10)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*newest, "dbt.log"}, old
    runlog.start(tmp_path, days=10, megabytes=2)
    runlog.stop()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {name(1), name(2), "dbt.log"}


def test_the_newest_file_stays_however_late_the_clock_says_it_is(tmp_path: Path) -> None:
    for day in ("2020-01-01", "2020-01-02"):
        (tmp_path / f"run-{day}.jsonl").write_text("{}\n")
    runlog.start(tmp_path)
    runlog.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["run-2020-01-02.jsonl"]


def test_the_addresses_of_channels_and_their_tokens_are_secrets(tmp_path: Path) -> None:
    url = "slack://T0ABCDEF1/B0ABCDEF2/abcdefghijklmnop/alerts"
    values = {"urls": [url], "ping_url": "https://ping.example/uuid-4f2a-1111"}
    settings = load_settings({}, cwd=tmp_path, alerts=values)
    secrets = runlog.collect_secrets(settings)
    assert {url, "T0ABCDEF1", "B0ABCDEF2", "abcdefghijklmnop", "uuid-4f2a-1111"} <= secrets
    assert not {"alerts", "slack", "ping.example"} & secrets
    for shown in (repr(settings), str(settings.alerts), settings.model_dump_json()):
        assert "abcdefghijklmnop" not in shown


def test_what_psycopg_ignores_is_not_said_beside_the_error() -> None:
    logging.getLogger("psycopg").setLevel(logging.NOTSET)
    shell.route_logs(lambda _: None)
    assert not logging.getLogger("psycopg").isEnabledFor(logging.WARNING)
