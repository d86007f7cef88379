"""Ctrl-C during a load: the first stops it after its batch, the second at once."""

import signal
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from loaders import loads
from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.settings import load_settings


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
        "load 7 stopped at once; `quotemill retry 7` loads what is left of it",
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
