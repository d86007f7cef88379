"""Days of a contract asked of a client that fails with some of them: what it costs the others."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from loaders.engine.outcome import Stopped
from loaders.tq.client.harvest import Harvest
from loaders.tq.errors import TqClientError, TqTimeout
from loaders.tq.settings import TqSettings
from loaders.tq.tick_days import fetch as fetch_module
from loaders.tq.tick_days import plan
from loaders.tq.tick_days.fetch import NotAsked, fetch_days
from loaders.tq.tick_days.schedule import key_text
from loaders.tq.trading_day import to_time, trading_day_of
from quotemill.errors import UpstreamError
from tests.unit.tq.loads import context, scheduled

FIRST = date(2025, 10, 15)
DAYS = [FIRST + timedelta(n) for n in range(5)]
CALENDAR = [FIRST - timedelta(1), *DAYS]
ODD: UpstreamError = TqClientError("a column is missing")


class Client:
    """A client for which some days fail."""

    alive, days = True, 0

    def __init__(self, errors: dict[date, Exception]) -> None:
        self.errors, self.asked = errors, list[date]()

    def ask(self, _: str, args: dict[str, Any]) -> int:
        day = trading_day_of(to_time(args["start"]), CALENDAR)
        assert day is not None
        self.asked.append(day)
        if day in self.errors:
            raise self.errors[day]
        return 9

    def kill(self) -> None:
        """The next process is as good."""


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """For each day whether a file came, or its error."""

    def ask(errors: dict[date, Exception]) -> list[str]:
        client = Client(errors)
        harvest = Harvest(TqSettings(retries=0, wait=0), tmp_path / str(uuid4()))
        monkeypatch.setattr(harvest, "_process", lambda: client)
        ctx = context(harvest=harvest, days=CALENDAR)
        answered = list(fetch_days(ctx, [scheduled(day) for day in DAYS]))
        assert [day.trading_day for day, _ in answered] == DAYS
        assert client.asked == sorted({*client.asked})
        return [type(a).__name__ if isinstance(a, Exception) else "file" for _, a in answered]

    return ask


def test_a_failing_day_costs_no_other_and_two_in_a_row_the_rest(
    fetch: Callable[..., list[str]],
) -> None:
    error = "TqClientError"
    assert fetch({}) == ["file"] * 5
    assert fetch({DAYS[1]: ODD, DAYS[3]: ODD}) == ["file", error, "file", error, "file"]
    assert fetch({DAYS[1]: ODD, DAYS[2]: ODD}) == ["file", error, error, "NotAsked", "NotAsked"]


def test_servers_that_are_silent_for_two_days_of_a_contract_are_gone(
    fetch: Callable[..., list[str]],
) -> None:
    silent: UpstreamError = TqTimeout("no sign of life")
    assert fetch({DAYS[0]: silent, DAYS[1]: silent}) == [*["TqTimeout"] * 2, *["TqTransport"] * 3]
    assert fetch({DAYS[0]: silent, DAYS[2]: silent}) == [
        "TqTimeout",
        "file",
        "TqTimeout",
        "file",
        "file",
    ]


def test_failures_of_a_contract_cost_no_other_contract(tmp_path: Path) -> None:
    def answer(contract: str, *_: Any) -> Path:
        if contract == "A":
            raise ODD
        return tmp_path

    ctx = context(harvest=SimpleNamespace(ticks=answer), days=CALENDAR)
    days = [scheduled(day, contract) for day in DAYS[:3] for contract in ("A", "B")]
    answered = [answer for _, answer in fetch_days(ctx, days)]
    assert answered[1::2] == [tmp_path] * 3
    assert [type(answer) for answer in answered[::2]] == [TqClientError, TqClientError, NotAsked]


def test_a_day_that_the_calendar_lacks_costs_no_other() -> None:
    harvest = SimpleNamespace(ticks=lambda *_: None)
    ctx = context(harvest=harvest, days=CALENDAR)
    strange = scheduled(DAYS[-1] + timedelta(1))
    (_, first), (_, second) = fetch_days(ctx, [scheduled(FIRST), strange])
    assert first is None
    assert isinstance(second, NotAsked)


def test_a_task_has_whole_trading_days_of_all_varieties(monkeypatch: pytest.MonkeyPatch) -> None:
    days = [scheduled(day, contract) for contract in ("A", "B") for day in DAYS]

    def cut(most: int) -> list[int]:
        monkeypatch.setattr(plan, "TASK_KEYS", most)
        tasks = [unit.keys for unit in plan._units(context(), days)]
        in_order = sorted(days, key=lambda day: day.trading_day)
        assert [key for keys in tasks for key in keys] == [key_text(day.key) for day in in_order]
        return [len(keys) for keys in tasks]

    assert cut(5) == cut(4) == [4, 4, 2]
    assert cut(1) == [2] * 5
    assert plan._units(context(), []) == []


def test_few_days_are_asked_for_ahead_of_the_one_that_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch_module, "MOST_AHEAD", 3)
    asked: list[tuple[str, date | None]] = []

    def answer(contract: str, start: datetime, _: datetime) -> None:
        asked.append((contract, trading_day_of(start, CALENDAR)))

    ctx = context(harvest=SimpleNamespace(ticks=answer), days=CALENDAR)
    days = [scheduled(day, contract) for day in DAYS for contract in ("A", "B")]
    order = [(day.contract, day.trading_day) for day in days]
    answers = fetch_days(ctx, days)
    for n, day in enumerate(days):
        assert next(answers) == (day, None)
        assert asked == order[: len(asked)]
        assert n < len(asked) <= n + 3
    assert next(answers, None) is None


def test_a_caller_that_reads_no_further_ends_the_clients() -> None:
    asked: list[str] = []

    def answer(contract: str, *_: Any) -> None:
        asked.append(contract)
        while contract != "A" and not ctx.halted.is_set():
            threading.Event().wait(0.01)
        if ctx.halted.is_set():
            raise Stopped("stopped")

    ctx = context(harvest=SimpleNamespace(ticks=answer), days=CALENDAR)
    answers = fetch_days(ctx, [scheduled(FIRST, contract) for contract in "ABCD"])
    next(answers)
    answers.close()
    assert ctx.halted.is_set()
    assert set(asked) <= {"A", "B"}
