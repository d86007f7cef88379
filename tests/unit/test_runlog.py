"""The log of what runs: lines that a program reads, without secrets, of nobody who did not ask for it."""

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loaders import runlog
from loaders.cli import shell
from loaders.errors import UpstreamError, UsageError
from loaders.settings import load_settings

SECRETS = {
    "QUOTEMILL_WAREHOUSE_URL": "postgresql://u:p%40ss-word@h/d",
    "QUOTEMILL_TQ__PASSWORD": "very-secret",
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "logs"
    runlog.start(folder, runlog.secrets_of(load_settings(SECRETS, cwd=tmp_path)))
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
    assert abs((at - before).total_seconds()) < 60
    assert path.name == f"run-{at:%Y-%m-%d}.jsonl"
    assert line == {
        **{"level": "warning", "source": "ib", "job": 12, "event": "首 line\nof two"},
        "detail": {"at": str(before)},
    }


def test_no_secret_is_written(log: Path) -> None:
    texts = (
        "postgresql://u:p%40ss-word@h/d is away",
        'connect failed: password=p@ss-word token: "abc-def"',
        "Authorization: Bearer abc.def-ghi",
        "http://someone:else@10.0.0.1/x said very-secret",
    )
    for text in texts:
        runlog.write("error", text, detail={"why": [text], text: 1}, traceback=text)
    told = "".join(path.read_text() for path in log.iterdir())
    for secret in ("ss-word", "very-secret", "abc", "else"):
        assert secret not in told, secret
    assert "is away" in told
    assert "10.0.0.1/x said" in told


def test_texts_and_details_have_an_end(log: Path) -> None:
    runlog.write("info", "x" * 50_000, detail={str(n): n for n in range(5_000)})
    [line] = lines(log)
    assert len(line["event"]) == runlog.LONGEST
    assert len(line["detail"]) == runlog.MOST


def test_warnings_and_errors_of_a_command_are_in_it(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.route_logs(lambda _: None)
    logging.getLogger("loaders.tdx.service.outage").warning("down for %d s", 5)
    shell.tell(UpstreamError("no gateway", hint="wait"), "ib")
    try:
        raise ZeroDivisionError("by very-secret")
    except ZeroDivisionError as error:
        shell.tell(shell.explained(error))
    assert "no gateway" in capsys.readouterr().err
    found = [(line["level"], line["source"], line["event"]) for line in lines(log)]
    assert found[:2] == [("warning", "tdx", "down for 5 s"), ("error", "ib", "no gateway")]
    assert found[2][0] == "critical"
    assert "test_runlog.py" in lines(log)[2]["traceback"]
    assert "very-secret" not in lines(log)[2]["traceback"]


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
    assert [line["event"] for line in lines(folder)] == ["no gateway", "no such day"]


def test_what_befell_a_source_is_no_fault_of_ours_and_has_its_name(log: Path) -> None:
    try:
        raise UpstreamError("no gateway") from OSError("refused")
    except UpstreamError as error:
        error.source = "ib"
        shell.tell(error)
    [line] = lines(log)
    assert (line["level"], line["source"], "traceback" in line) == ("error", "ib", False)


def test_secrets_within_objects_are_not_written(log: Path) -> None:
    runlog.write("error", "x", detail={"why": OSError("by very-secret"), "in": {"very-secret"}})
    [path] = log.iterdir()
    assert "very-secret" not in path.read_text()


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
    assert [line.partition(" in ")[0] for line in said] == ["no log is kept"]


def test_a_log_that_cannot_be_written_is_told_once_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    said: list[str] = []
    shell.route_logs(said.append)
    runlog.start(tmp_path / "logs")
    for _ in range(3):
        runlog.write("info", "x")
    runlog.stop()
    assert [line.partition(" in ")[0] for line in said] == ["no log is kept"]
