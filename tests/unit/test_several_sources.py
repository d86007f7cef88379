"""`loaders run` with several sources: each runs; the most severe exit code counts."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import loaders.cli
from loaders import loads, sources
from loaders.check import Check, describe_service
from loaders.cli import check as checks
from loaders.cli import load as commands
from loaders.cli import shell
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.engine.source import Insight, Requests
from loaders.settings import load_settings
from quotemill.errors import INTERRUPTED, LockHeldError, QuotemillError, UpstreamError, UsageError

LOCKED = LockHeldError("another load of one holds the lock", hint="wait for it")
DOWN = UpstreamError("nobody answers", hint="start it")


def fine(source: str) -> LoadResult:
    return LoadResult(7, source, "succeeded", 0, (), (), None, "", 0.1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Call `loaders run --json` with outcomes by source: exit code, object, stderr, what ran."""

    def call(outcomes: dict[str, Exception | LoadResult], *arguments: str) -> Any:
        ran: list[str] = []

        def run_load(_settings: object, request: LoadRequest, *_: object, **__: object) -> Any:
            ran.append(request.source)
            outcome = outcomes[request.source]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
        monkeypatch.setattr(loads, "run_load", run_load)
        monkeypatch.setattr(commands, "name_configured", lambda *_: list(outcomes))
        whole = SimpleNamespace(requests=Requests(), insight=Insight())
        monkeypatch.setattr(sources, "find", lambda _: whole)
        monkeypatch.setattr(shell, "_answered", False)
        monkeypatch.setattr(sys, "argv", ["loaders", "run", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            shell.run_app(loaders.cli.app)
        out, err = capsys.readouterr()
        return ended.value.code, json.loads(out), err, ran

    return call


def test_a_source_that_is_locked_or_down_keeps_no_other_from_running(run: Any) -> None:
    code, shown, err, ran = run({"one": LOCKED, "two": DOWN, "three": fine("three")})
    assert ran == ["one", "two", "three"]
    assert [(r["source"], r["status"], r["exit_code"]) for r in shown] == [
        ("one", "failed", 75),
        ("two", "failed", 4),
        ("three", "succeeded", 0),
    ]
    assert (shown[0]["error"], shown[0]["hint"]) == (str(LOCKED), LOCKED.hint)
    assert code == 4  # more severe than the lock
    assert str(LOCKED) in err
    assert str(DOWN) in err


def test_a_fault_of_ours_in_one_source_keeps_no_other_from_running(
    run: Any, tmp_path: Path
) -> None:
    code, shown, err, ran = run({"one": ZeroDivisionError("by nought"), "two": fine("two")})
    assert (code, ran) == (QuotemillError.exit_code, ["one", "two"])
    assert "ZeroDivisionError" in shown[0]["error"]
    assert str(tmp_path) in err  # where the traceback is


def test_one_source_alone_answers_with_one_object(run: Any) -> None:
    code, shown, _, _ = run({"one": LOCKED})
    assert (code, shown["exit_code"], shown["job_id"]) == (75, 75, None)


def test_a_wrong_call_runs_no_source(run: Any) -> None:
    code, shown, _, ran = run({"one": fine("one"), "two": fine("two")}, "--since", "June")
    assert (code, shown["exit_code"], ran) == (2, 2, [])


def test_who_uses_one_source_hears_nothing_of_the_settings_of_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known: tuple[list[str], dict[str, str]] = (["one"], {"two": "QUOTEMILL_TWO is not set"})
    monkeypatch.setattr(sources, "configured", lambda _: known)
    assert commands.name_configured(load_settings(), "") == ["one"]
    assert capsys.readouterr().err.endswith(": two\n")


def test_ctrl_c_is_meant_for_all_of_them(run: Any) -> None:
    stopped = LoadResult(7, "one", "interrupted", INTERRUPTED, (), (), None, "", 0.1)
    code, _, _, ran = run({"one": stopped, "two": fine("two")})
    assert (code, ran) == (INTERRUPTED, ["one"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((None, None), (None, None)),
        (("12", None), (None, 12)),
        (("tdx", None), ("tdx", None)),
        (("tdx", 12), ("tdx", 12)),
    ],
)
def test_a_job_is_named_by_its_number_its_source_or_both(arguments: Any, expected: Any) -> None:
    assert shell.parse_source_and_job(*arguments) == expected
    with pytest.raises(UsageError, match="nasdaq"):
        shell.parse_source_and_job("nasdaq", 12)


def test_check_asks_every_configured_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def check(source: str) -> Check:
        if source == "one":
            raise DOWN
        return describe_service(
            f"{source} answers", ("its clock is late",), {"last_day": "2024-06-28"}
        )

    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))

    def find(name: str) -> Any:
        return SimpleNamespace(check=lambda *_: check(name))

    monkeypatch.setattr(sources, "find", find)
    monkeypatch.setattr(checks, "name_configured", lambda *_: ["one", "two"])
    monkeypatch.setattr(sys, "argv", ["loaders", "check", "--json"])
    monkeypatch.setattr(shell, "_answered", False)
    with pytest.raises(SystemExit) as ended:
        shell.run_app(loaders.cli.app)
    first, two = json.loads(capsys.readouterr().out)
    assert ended.value.code == 4
    assert (first["source"], first["exit_code"], first["error"]) == ("one", 4, str(DOWN))
    assert (two["source"], two["exit_code"], two["last_day"]) == ("two", 0, "2024-06-28")
