"""With --json a program reads one object on stdout, however a command ends."""

import json
import os
import sys
from pathlib import Path

import pytest
import typer

from loaders import log
from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.engine.result import stopped
from orchestration.run.stages import RunResult
from quotemill import errors
from quotemill.errors import (
    INTERRUPTED,
    DataQualityError,
    LockHeldError,
    QuotemillError,
    UpstreamError,
)

KINDS = [QuotemillError, *QuotemillError.__subclasses__()]


def answer(
    command: "typer.models.CommandFunctionType",  # type: ignore[name-defined]
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line of one command."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    monkeypatch.setattr(sys, "argv", ["toy", *arguments])
    monkeypatch.setattr(shell, "_answered", False)
    with pytest.raises(SystemExit) as ended:
        shell.run_app(app)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


@pytest.mark.parametrize("code", [0, 1, 75])
def test_the_exit_code_is_in_the_file_that_a_variable_names(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passed_on = []

    def toy(json: JsonFlag = False) -> None:
        passed_on.append(os.environ.get(log.EXIT_FILE))
        raise typer.Exit(code)

    for name in ("code", "nowhere/code"):  # one that cannot be written changes nothing
        monkeypatch.setenv(log.EXIT_FILE, str(tmp_path / name))
        assert answer(toy, [], monkeypatch, capsys)[0] == code
    assert (tmp_path / "code").read_text() == str(code)
    assert passed_on == [None, None]


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_of_ours_is_an_object_too(
    kind: type[QuotemillError],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def toy(json: JsonFlag = False) -> None:
        raise kind("the reason", hint="the fix")

    code, out, err = answer(toy, ["--json"], monkeypatch, capsys)
    assert json.loads(out) == {
        "exit_code": kind.exit_code,
        "error": "the reason",
        "hint": "the fix",
    }
    assert code == kind.exit_code
    assert err == "error: the reason\nfix: the fix\n"
    assert answer(toy, [], monkeypatch, capsys)[1] == ""


def test_a_wrong_call_says_what_is_wrong_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def toy(json: JsonFlag = False) -> None: ...

    code, out, _ = answer(toy, ["--json", "--frobnicate"], monkeypatch, capsys)
    printed = json.loads(out)
    assert (code, printed["exit_code"]) == (2, errors.UsageError.exit_code)
    assert "--frobnicate" in printed["error"]


def test_an_interrupt_and_a_fault_of_ours_are_objects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    def stopped(json: JsonFlag = False) -> None:
        raise KeyboardInterrupt

    def broken(json: JsonFlag = False) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    code, out, _ = answer(stopped, ["--json"], monkeypatch, capsys)
    printed = json.loads(out)
    assert (code, printed["exit_code"]) == (INTERRUPTED, INTERRUPTED)
    assert (printed["error"], bool(printed["hint"])) == ("stopped", True)
    code, out, _ = answer(broken, ["--json"], monkeypatch, capsys)
    printed = json.loads(out)
    assert (code, printed["exit_code"]) == (1, 1)
    assert "ZeroDivisionError: by nought" in printed["error"]
    assert str(tmp_path) in printed["hint"]


def test_a_result_is_the_only_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def toy(json: JsonFlag = False) -> None:
        if json:
            shell.print_json({"checks": 3})
        raise DataQualityError("1 of 3 checks failed")

    code, out, _ = answer(toy, ["--json"], monkeypatch, capsys)
    assert (code, json.loads(out)) == (5, {"checks": 3})


def test_an_exit_code_without_a_word_is_an_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def toy(json: JsonFlag = False) -> None:
        raise typer.Exit(6)

    code, out, _ = answer(toy, ["--json"], monkeypatch, capsys)
    assert (code, json.loads(out)["exit_code"]) == (6, 6)


def test_a_run_names_the_reason_of_its_gravest_load_in_one_place() -> None:
    locked = stopped("tdx", LockHeldError("held", hint="wait"))
    down = stopped("toy", UpstreamError("nobody answers", hint="start it"))
    answer = RunResult((locked, down), UpstreamError.exit_code).as_json()
    assert (answer["error"], answer["hint"]) == ("nobody answers", "start it")
    assert RunResult((locked,), 0).as_json()["error"] is None
