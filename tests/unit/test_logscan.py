"""`quotemill logscan`: what it counts in a log, and that an empty log is no success."""

import json
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

import orchestration.cli
from loaders.cli import shell
from loaders.files import whole_file
from orchestration.checks import logscan
from orchestration.checks.result_file import write_result
from orchestration.schedule.jobs import shipped_jobs
from quotemill.errors import QuotemillError, UsageError

DAY = datetime(2026, 11, 20, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)


def line(event: str, level: str = "warning", at: str = "14:30", **more: Any) -> str:
    fields = {"at": f"2026-11-20T{at}:00.000Z", "level": level, "source": "ib", "event": event}
    return json.dumps(fields | more) + "\n"


def write(folder: Path, *lines: str, day: str = "2026-11-20") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"run-{day}.jsonl"
    path.write_text("".join(lines), "utf-8")
    return path


def test_lines_are_counted_by_keyword_source_and_level(
    tmp_path: Path,
) -> None:
    write(
        tmp_path,
        line("gateway 100: Max rate of messages", at="15:00", detail={"error_type": "pacing"}),
        line("gateway 162: pacing violation of DU1234567", at="14:31"),
        line("AAPL: 3 of 80 quotes are delayed, no permission"),
        line("a farm is OK: error 2104, pacing is fine", level="info"),
        line("job 3 failed: GatewayGone", level="error", source="ib"),
        line("internal error", level="critical", source=None, traceback="File x"),
        line("pacing means nothing here", source="tdx"),
    )
    scan = logscan.run(tmp_path, DAY, NEXT)
    assert {word: hits.count for word, hits in scan.keywords.items()} == {
        **{"pacing": 2, "delayed": 1, "permission": 1, "error": 2},
        **{"disconnect": 1, "traceback": 1},
    }
    assert (scan.status, scan.lines, scan.matching, scan.damaged) == ("found", 7, 5, 0)
    assert scan.levels["ib"] == {"warning": 3, "info": 1, "error": 1}
    assert scan.levels["-"] == {"critical": 1}
    pacing = scan.keywords["pacing"]
    assert (pacing.first_at, pacing.last_at) == (
        datetime(2026, 11, 20, 14, 31, tzinfo=UTC),
        datetime(2026, 11, 20, 15, 0, tzinfo=UTC),
    )
    assert pacing.first == "gateway 162: pacing violation of <account>"
    assert scan.keywords["error"].by_source == {"ib": 1, "-": 1}


def test_window_source_and_level_narrow_a_scan(tmp_path: Path) -> None:
    write(tmp_path, line("pacing", at="14:00"), line("pacing", at="15:00"))
    write(tmp_path, line("pacing", source="tdx"), day="2026-11-21")  # of another day by its name
    at = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
    assert logscan.run(tmp_path, at, at + timedelta(hours=1)).lines == 1
    assert logscan.run(tmp_path, at - timedelta(hours=1), at).status == "empty"
    assert logscan.run(tmp_path, DAY, NEXT, source="tdx").status == "empty"
    assert logscan.run(tmp_path, DAY, NEXT, level="error").status == "clean"
    assert [p.name for p in logscan.list_files(tmp_path, DAY, NEXT)] == ["run-2026-11-20.jsonl"]
    assert len(logscan.list_files(tmp_path, DAY, NEXT + timedelta(seconds=1))) == 2


def test_own_keywords_count_in_any_case_and_in_tracebacks(tmp_path: Path) -> None:
    write(tmp_path, line("Contract AAPL"), line("x", level="error", traceback="in Pacing.py"))
    scan = logscan.run(tmp_path, DAY, NEXT, keywords=["aapl, PACING.py"])
    assert {word: hits.count for word, hits in scan.keywords.items()} == {
        **{"aapl": 1, "pacing.py": 1},
        **{"error": 1, "traceback": 1},
    }


def test_damaged_lines_are_counted_and_the_others_read(tmp_path: Path) -> None:
    path = write(tmp_path, line("pacing"))
    with path.open("ab") as file:
        file.write(b'{"at": "2026-11-20T14:30:00Z", "level": "warn')  # a machine lost its power
        file.write(b"\n\n\xff\xfe\n[1]\n{}\n")
        file.write(b'{"at": "soon", "level": "error", "event": "x"}\n')
        file.write(b'{"at": "2026-11-20T14:30:00Z", "level": "loud", "event": "x"}\n')
        file.write(b"x" * (2 * logscan.LONGEST + 7) + b"\n")
        file.write(line("pacing").encode())
    scan = logscan.run(tmp_path, DAY, NEXT)
    assert (scan.lines, scan.damaged, scan.matching) == (2, 7, 2)
    assert scan.files == {str(path): 9}


def test_a_long_log_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "run-2026-11-20.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(3_000):
            file.write(line(f"pacing of contract {number}", detail={"text": "x" * 2_000}))
    size = path.stat().st_size
    tracemalloc.start()
    scan = logscan.run(tmp_path, DAY, NEXT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scan.keywords["pacing"].count == 3_000
    assert scan.keywords["pacing"].last == "pacing of contract 2999"
    assert peak < size / 20


def test_a_failed_summary_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, line("pacing"))
    scan, target = logscan.run(tmp_path, DAY, NEXT), tmp_path / "sub" / "summary.json"
    write_result(target, scan.as_json())
    answer = json.loads(target.read_text())
    assert answer["keywords"]["pacing"]["count"] == 1
    assert answer["status"] == "found"

    before = target.read_text()
    monkeypatch.setattr(
        whole_file.os, "fsync", Mock(side_effect=OSError(28, "No space left on device"))
    )
    with pytest.raises(QuotemillError) as full:
        write_result(target, scan.as_json())
    assert cast("OSError", full.value.__context__).errno == 28
    assert [p.name for p in target.parent.iterdir()] == ["summary.json"]
    assert target.read_text() == before


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run-2026-11-20.jsonl").mkdir()
    with pytest.raises(UsageError, match=r"run-2026-11-20\.jsonl") as unreadable:
        logscan.run(tmp_path, DAY, NEXT)
    assert isinstance(unreadable.value.__context__, IsADirectoryError)


@pytest.mark.parametrize(
    ("lines", "arguments", "code", "says"),
    [
        ([], ("--date", "2026-11-20"), 5, "no log line from 2026-11-20 00:00"),
        ([""], ("--date", "2026-11-20"), 5, "in 1 files: nothing ran"),
        (["no json\n"], ("--date", "2026-11-20"), 5, "nothing ran, or it logged elsewhere"),
        ([line("all well", "info")], ("--date", "2026-11-20"), 0, ""),
        ([line("pacing")], ("--date", "2026-11-20"), 0, ""),
        ([line("pacing", "error")], ("ib", "--date", "2026-11-20"), 5, "1 lines of"),
        (
            [line("x", "critical", source=None)],
            ("ib", "--date", "2026-11-20"),
            5,
            "no log line from",
        ),
        ([line("pacing")], ("--date", "2026-11-20", "--max-total", "0"), 5, "contain a keyword"),
        ([line("pacing", "error")], ("--date", "2026-11-20", "--max-total", "1"), 0, ""),
        ([line("pacing")], ("--as-of", "2026-11-21T15:00"), 5, "no log line from 2026-11-20 15:00"),
        (
            [line("x", "error")],
            ("--since", "2026-11-20", "--as-of", "2026-11-21T15:00"),
            5,
            "are errors",
        ),
        ([], ("--since", "2026-11-20", "--date", "2026-11-20"), 2, "--since and --date"),
        ([], ("nowhere", "--date", "2026-11-20"), 2, "nowhere"),
        ([], ("ib", "--date", "9999-12-31"), 2, "--date 9999-12-31"),
        ([], ("--level", "loud"), 2, "--level loud"),
        ([], ("--keyword", " "), 2, "a keyword is empty"),
        ([], ("--keyword", "A,,B"), 2, "a keyword is empty"),
        ([], ("--keyword", "U1234567"), 2, "matches no line"),
        ([], ("--keyword", "a\nb"), 2, "matches no line"),
    ],
)
def test_the_command_prints_its_result_and_exits_with_its_code(
    lines: list[str],
    arguments: tuple[str, ...],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if lines:
        write(tmp_path / "home" / "logs", *lines)
    ended, err, answer = scanned(tmp_path, monkeypatch, capsys, *arguments)
    assert ended == code, err
    assert says in err
    assert answer["exit_code"] == code
    if code != 2:
        assert answer["status"] in {0: ("clean", "found"), 5: ("found", "empty")}[code]


def scanned(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    command: str = "logscan",
) -> tuple[Any, str, dict[str, Any]]:
    """Exit code, stderr and answer of the command over the log of a home in `folder`."""
    monkeypatch.setenv("QUOTEMILL_HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["quotemill", *command.split(), "--json", *arguments])
    monkeypatch.setattr(shell, "_answered", False)
    with pytest.raises(SystemExit) as ended:
        shell.run_app(orchestration.cli.app)
    out, err = capsys.readouterr()
    return ended.value.code, err, json.loads(out)


def test_a_day_is_one_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "home" / "logs"
    evening = line("pacing at 20:00 in New York", at="01:00").replace("-20T", "-21T")
    write(logs, evening, day="2026-11-21")
    code, _, answer = scanned(tmp_path, monkeypatch, capsys, "ib", "--date", "2026-11-20")
    assert (code, answer["found"], len(answer["files"])) == (0, 1, 1)
    assert scanned(tmp_path, monkeypatch, capsys, "ib", "--date", "2026-11-21")[0] == 5
    assert scanned(tmp_path, monkeypatch, capsys, "--date", "2026-11-21")[2]["found"] == 1
    # what a sandbox's day says was written today
    other = line("pacing").replace('"source"', '"source_at": "2025-03-04T15:00:00Z", "source"')
    write(logs, other, day="2026-11-20")
    code, _, answer = scanned(tmp_path, monkeypatch, capsys, "ib", "--date", "2025-03-04")
    assert (code, answer["found"], len(answer["files"])) == (0, 1, 1)
    assert scanned(tmp_path, monkeypatch, capsys, "ib", "--date", "2026-11-20")[2]["found"] == 1


def test_the_day_of_an_option_scan_is_by_a_time_in_new_york(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "home" / "logs", line("pacing"))
    for as_of in ("2026-11-22T22:00", "2026-11-23T02:00+00:00"):
        arguments = ("--date", "yesterday", "--as-of", as_of)
        answer = scanned(tmp_path, monkeypatch, capsys, *arguments, command="options logscan")[2]
        assert (answer["since"], answer["found"]) == ("2026-11-20 05:00:00+00:00", 1)


def test_a_summary_goes_to_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "home" / "logs", line("pacing"))
    # 20:30 in New York
    for given in (("--date", "2026-11-20"), ("--as-of", "2026-11-21T01:30")):
        arguments = ("ib", *given, "--write-summary")
        answer = scanned(tmp_path, monkeypatch, capsys, *arguments)[2]
        place = tmp_path / "home" / "logs" / "errors" / "summary_20261120.json"
        assert json.loads(place.read_text())["found"] == answer["found"] == 1
        place.unlink()


def test_the_scheduled_scan_counts_each_error_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = str(shipped_jobs()["ib"]["ib_logscan"].command).split()
    logs = tmp_path / "home" / "logs"

    def at(time: str) -> tuple[Any, Any]:
        code, _, answer = scanned(
            tmp_path, monkeypatch, capsys, *command[1:], "--as-of", f"{time}:00"
        )
        return code, answer.get("errors")

    write(logs, line("pacing"), line("job 3 failed: GatewayGone", "error", at="23:30"))
    assert at("2026-11-20T22:30") == (0, 0)  # 17:30 in New York; a warning is listed
    later = '{"at": "2026-11-23T15:00:00.000Z", "level": "info", "source": "ib", "event": "x"}\n'
    write(logs, later, day="2026-11-23")
    assert at("2026-11-23T22:30") == (5, 1)  # the error of Friday, 18:30
    assert at("2026-11-24T22:30") == (5, 0)  # nothing ran: that needs attention
    write(logs, later.replace("-23T15", "-24T15"), day="2026-11-24")
    assert at("2026-11-24T22:31") == (0, 0)
    (tmp_path / "home" / "logscan.json").write_text('{"ib": "2026-11-2')
    assert at("2026-11-24T22:32") == (0, 0)
