"""Ctrl-C during a load: the first stops it after its batch, the second at once. SIGTERM, too."""

import signal
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import typer

from loaders import loads
from loaders.cli.shell import run_app
from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.signals import handled
from loaders.settings import load_settings
from quotemill.errors import INTERRUPTED


def test_a_second_ctrl_c_ends_a_load_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    asked: list[str] = []
    lines: list[str] = []
    running: Any = SimpleNamespace(job_id=7, interrupt=lambda: asked.append("to stop"))
    reporter = Silent()
    monkeypatch.setattr(reporter, "line", lines.append)

    def run_load(*_: object, on_start: Any, **__: object) -> None:
        on_start(running)
        signal.raise_signal(signal.SIGINT)
        assert asked == ["to stop"]
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second Ctrl-C ends the load")

    monkeypatch.setattr(loads, "run_load", run_load)
    with pytest.raises(KeyboardInterrupt):
        loads.load_with_progress(load_settings(), LoadRequest("tdx"), lambda: nullcontext(reporter))

    assert lines == [
        "Stopping after the current batch; press Ctrl-C again to stop now",
        f"load 7 stopped at once. {loads.name_rest(7)}",
    ]
    assert signal.getsignal(signal.SIGINT) == before


def test_a_ctrl_c_before_the_load_begins_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    reporter = Silent()
    monkeypatch.setattr(reporter, "line", lines.append)
    monkeypatch.setattr(loads, "run_load", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        loads.load_with_progress(load_settings(), LoadRequest("tdx"), lambda: nullcontext(reporter))
    assert lines == ["stopped before the load began"]


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_a_command_that_is_terminated_ends_as_by_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, handler: Any
) -> None:
    """A shell's `&` lets a command ignore Ctrl-C."""
    app, undone = typer.Typer(), []

    @app.command()
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            undone.append("the child process")

    monkeypatch.setattr(sys, "argv", ["toy"])
    before = signal.getsignal(signal.SIGTERM)
    with handled({signal.SIGINT: handler}), pytest.raises(SystemExit) as ended:
        run_app(app)
    assert (ended.value.code, undone) == (INTERRUPTED, ["the child process"])
    assert signal.getsignal(signal.SIGTERM) == before
