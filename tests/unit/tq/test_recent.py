"""Accounts without the history of ticks: what becomes of days whose newest ticks did not come."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from loaders.errors import UpstreamError
from loaders.tq.client.answers import TickAnswer
from loaders.tq.datasets import ticks
from loaders.tq.errors import (
    TqAnswerError,
    TqClientError,
    TqPermissionError,
    TqTimeout,
    UnknownSymbol,
)
from loaders.tq.tick_days.backlog import Scheduled
from loaders.tq.tick_days.recent_ticks import NO_PERMISSION, REACH, obtainable

DAYS = [date(2025, 10, day) for day in range(1, 1 + REACH + 2)]
OLD, NEW = "SHFE.cu2510", "SHFE.cu2511"


def on(day: date, contract: str = NEW) -> Scheduled:
    row = ("SHFE.cu", "KQ.m@SHFE.cu", day, contract, 1, None, False, "hash 1", "backtest")
    return Scheduled(*row)


def running(error: Exception) -> Any:
    """A load whose servers tell no newest ticks of the one contract, and none but an old one of the other."""
    asked: list[str] = []

    def recent_ticks(contract: str, _: int) -> Any:
        asked.append(contract)
        raise error

    schedule = [on(day, OLD) for day in DAYS[:2]] + [on(day) for day in DAYS[2:]]
    return SimpleNamespace(
        schedule={day.key: day for day in schedule},
        settled_days={"SHFE.cu": DAYS[-1]},
        recent={},
        harvest=SimpleNamespace(recent_ticks=recent_ticks),
        asked=asked,
        said=(said := list[str]()),
        load=SimpleNamespace(warn=said.append, clock=lambda: datetime(2025, 11, 3, tzinfo=UTC)),
    )


@pytest.mark.parametrize(
    "error",
    [TqTimeout("no sign of life"), TqClientError("a column is not there"), TqAnswerError("odd")],
)
def test_newest_ticks_that_did_not_come_are_a_failure_and_no_day_that_cannot_be_had(
    error: UpstreamError,
) -> None:
    run = running(error)
    # those that were revised stand before the missing ones
    wanted = [on(DAYS[-1]), *map(on, DAYS[3:-1]), on(DAYS[0], OLD)]
    [newest] = obtainable(run, wanted)
    assert newest == on(DAYS[-1])
    assert f"{len(wanted) - 1} of them until {DAYS[-2]} cannot be had" in run.said[0]
    found = ticks._outcome(run, newest, None)
    assert found.failure == f"newest ticks: {error}"  # of this load, and nothing is put on record
    assert run.asked == [NEW]


@pytest.mark.parametrize("refused", ["first", "second"])
def test_a_permission_that_ends_between_two_sessions_ends_no_load(refused: str) -> None:
    lost = TqPermissionError("no tq_dl")
    run = running(TqTimeout("no sign of life"))
    run.days, run.ask = DAYS, lambda _: None
    run.recent[NEW] = {}

    @contextmanager
    def another() -> Iterator[Any]:
        raise lost
        yield

    run.another = another
    answer = lost if refused == "first" else TickAnswer(DAYS[-1], None, 0, True)
    assert ticks._outcome(run, on(DAYS[-1]), answer).skipped == NO_PERMISSION


def test_a_contract_that_has_none_any_more_rings_in_no_load() -> None:
    run = running(UnknownSymbol([NEW]))
    assert obtainable(run, [on(DAYS[-1])]) == []
    assert len(run.said) == 2
    assert ticks._outcome(run, on(DAYS[-1]), None).failure is None
