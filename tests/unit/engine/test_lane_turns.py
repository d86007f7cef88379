"""What a load does while another one holds its lane, and what it asks for once that is free."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from loaders.engine import start as module
from loaders.engine.jobs import Task
from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.start import Asked, NothingToLoad, Start
from quotemill.errors import LockHeldError

ASKED, LATER = (Asked(LoadRequest("toy", keys=(key,))) for key in "ab")
NOW = datetime(2025, 6, 2, tzinfo=UTC)


def start(busy: Any, *, is_retry: bool = False) -> Start:
    """A load of a source that does this while its lane is held."""
    requests = SimpleNamespace(
        when_busy=lambda *_: busy, resolve=lambda *_: LATER.request, now=lambda _: NOW
    )
    source: Any = SimpleNamespace(name="toy", requests=requests, lane_of=lambda _: "toy")
    nothing: Any = None
    return Start(nothing, source, ASKED.request, Silent(), nothing, is_retry=is_retry)


def turn(begun: Start, monkeypatch: pytest.MonkeyPatch, taken: Callable[..., Any]) -> Asked:
    monkeypatch.setattr(module.locks, "load_lock", taken)
    with begun.take_turn(ASKED) as (_, asked):
        return asked


@pytest.mark.parametrize(
    ("busy", "longest"),
    [("fail", None), ("skip", None), ("queue", float("inf")), (timedelta(minutes=2), 120.0)],
)
def test_a_load_waits_only_if_its_source_says_so(
    busy: Any, longest: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = list[float | None]()

    def held(*_: Any, queue: Any, longest: float) -> None:
        waits.append(None if queue is None else longest)
        raise LockHeldError("held")

    with pytest.raises(NothingToLoad if busy == "skip" else LockHeldError) as raised:
        turn(start(busy), monkeypatch, held)
    assert waits == [longest]
    if isinstance(raised.value, NothingToLoad):
        assert raised.value.result.status == "skipped"
    with pytest.raises(LockHeldError):  # a retry was asked for by somebody, who hears of it
        turn(start(busy, is_retry=True), monkeypatch, held)
    assert waits[1:] == [None]


@pytest.mark.parametrize(
    ("busy", "waited", "asked"),
    [("queue", 0.0, ASKED), ("queue", 100.0, LATER), ("fail", 100.0, ASKED)],
)
def test_a_load_that_has_waited_asks_for_what_is_new_by_then(
    busy: str, waited: float, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((5.0, 5.0 + waited))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    free: Any = nullcontext()
    assert turn(start(busy), monkeypatch, lambda *_, **__: free) == asked


@pytest.mark.parametrize(
    ("status", "keys", "is_ended"),
    [
        ("succeeded", (), True),
        ("succeeded", ("a",), False),  # its failed keys were acknowledged
        ("partial", ("a",), False),
        ("partial", (), False),
    ],
)
def test_a_retry_reads_what_is_left_once_its_lane_is_free(
    status: str, keys: tuple[str, ...], is_ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [Task(1, "price", keys=keys)]
    monkeypatch.setattr(module.jobs, "failed_tasks", lambda *_: ({"status": status}, left))
    free: Any = nullcontext()
    begun = start("fail", is_retry=True)
    if is_ended:
        with pytest.raises(NothingToLoad):
            turn(begun, monkeypatch, lambda *_, **__: free)
    else:
        assert turn(begun, monkeypatch, lambda *_, **__: free).retried == left
