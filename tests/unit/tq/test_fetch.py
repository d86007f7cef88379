"""Days of a contract asked of a client that fails with some of them: what it costs the others."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from loaders.engine.outcome import Stopped
from loaders.engine.request import LoadRequest
from loaders.tq.client.answer_files import AnswerFiles
from loaders.tq.client.answers import TickAnswer
from loaders.tq.client.harvest import Harvest
from loaders.tq.errors import TqClientError, TqTimeout
from loaders.tq.settings import TqSettings
from loaders.tq.tick_days import fetch as fetch_module
from loaders.tq.tick_days import plan
from loaders.tq.tick_days.fetch import NotAsked, fetch_days
from loaders.tq.tick_days.schedule import key_text
from loaders.tq.trading_day import to_time, trading_day_of
from quotemill.errors import UpstreamError
from tests.ticks import quoted
from tests.unit.tq.loads import Store, context, index_row, scheduled

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
    """For each day its rows, or its error."""

    def ask(errors: dict[date, Exception]) -> list[str]:
        client = Client(errors)
        harvest = Harvest(TqSettings(retries=0, wait=0), tmp_path / str(uuid4()))
        monkeypatch.setattr(harvest, "_process", lambda: client)
        answers: Any = SimpleNamespace(find=lambda *_: None, keep=lambda *given: given[-1])
        ctx = context(harvest=harvest, days=CALENDAR, answers=answers)
        answered = list(fetch_days(ctx, [scheduled(day) for day in DAYS]))
        assert [day.trading_day for day, _ in answered] == DAYS
        assert client.asked == sorted({*client.asked})
        return [
            type(answer).__name__ if isinstance(answer, Exception) else str(answer.rows)
            for _, answer in answered
        ]

    return ask


def test_a_failing_day_costs_no_other_and_two_in_a_row_the_rest(
    fetch: Callable[..., list[str]],
) -> None:
    error = "TqClientError"
    assert fetch({}) == ["9"] * 5
    assert fetch({DAYS[1]: ODD, DAYS[3]: ODD}) == ["9", error, "9", error, "9"]
    assert fetch({DAYS[1]: ODD, DAYS[2]: ODD}) == ["9", error, error, "NotAsked", "NotAsked"]


def test_servers_that_are_silent_for_two_days_of_a_contract_are_gone(
    fetch: Callable[..., list[str]],
) -> None:
    silent: UpstreamError = TqTimeout("no sign of life")
    assert fetch({DAYS[0]: silent, DAYS[1]: silent}) == [*["TqTimeout"] * 2, *["TqTransport"] * 3]
    assert fetch({DAYS[0]: silent, DAYS[2]: silent}) == ["TqTimeout", "9", "TqTimeout", "9", "9"]


def test_failures_of_a_contract_cost_no_other_contract(tmp_path: Path) -> None:
    def answer(contract: str, *_: Any) -> TickAnswer:
        if contract == "A":
            raise ODD
        return TickAnswer(None, 9)

    ctx = context(harvest=SimpleNamespace(ticks=answer), days=CALENDAR)
    days = [scheduled(day, contract) for day in DAYS[:3] for contract in ("A", "B")]
    answered = [answer for _, answer in fetch_days(ctx, days)]
    assert [isinstance(answer, TickAnswer) for answer in answered[1::2]] == [True] * 3
    assert [type(answer) for answer in answered[::2]] == [TqClientError, TqClientError, NotAsked]


def test_a_day_that_the_calendar_lacks_costs_no_other() -> None:
    harvest = SimpleNamespace(ticks=lambda *_: TickAnswer(None, 9))
    ctx = context(harvest=harvest, days=CALENDAR)
    strange = scheduled(DAYS[-1] + timedelta(1))
    (_, first), (_, second) = fetch_days(ctx, [scheduled(FIRST), strange])
    assert isinstance(first, TickAnswer)
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


class Served:
    """Answers each question by a file; which days of which contract were asked for, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()

    def ticks(self, contract: str, start: datetime, _: datetime) -> TickAnswer:
        day = trading_day_of(start, CALENDAR)
        assert day is not None
        self.asked.append(f"{contract} {day.day}")
        path = self.folder / "answer.parquet"
        pq.write_table(quoted(2), path)
        return TickAnswer(path, 2)


def test_few_days_are_asked_for_ahead_of_the_one_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "MOST_AHEAD", 3)
    served = Served(tmp_path)
    ctx = context(harvest=served, days=CALENDAR, answers=AnswerFiles(tmp_path / "answers"))
    days = [scheduled(day, contract) for day in DAYS for contract in ("A", "B")]
    order = [f"{day.contract} {day.trading_day.day}" for day in days]
    answers = fetch_days(ctx, days)
    for n, day in enumerate(days):
        assert next(answers)[0] == day
        assert served.asked == order[: len(served.asked)]
        assert n < len(served.asked) <= n + 3
    assert next(answers, None) is None
    assert len([*(tmp_path / "answers").iterdir()]) == len(days), "until they are deleted"


def test_a_caller_that_reads_no_further_ends_the_clients() -> None:
    asked: list[str] = []

    def answer(contract: str, *_: Any) -> TickAnswer:
        asked.append(contract)
        while contract != "A" and not ctx.halted.is_set():
            threading.Event().wait(0.01)
        if ctx.halted.is_set():
            raise Stopped("stopped")
        return TickAnswer(None, 9)

    ctx = context(harvest=SimpleNamespace(ticks=answer), days=CALENDAR)
    answers = fetch_days(ctx, [scheduled(FIRST, contract) for contract in "ABCD"])
    next(answers)
    answers.close()
    assert ctx.halted.is_set()
    assert set(asked) <= {"A", "B"}


def test_answers_of_an_earlier_load_are_not_asked_for_again(tmp_path: Path) -> None:
    served = Served(tmp_path)
    answers = AnswerFiles(tmp_path / "answers")
    ctx = context(harvest=served, days=CALENDAR, answers=answers)
    days = [scheduled(day, "A") for day in DAYS]
    assert [*fetch_days(ctx, days[:3])]
    (tmp_path / "answers" / f"A {DAYS[1]}.parquet").write_bytes(b"PAR1, and then the power cut")
    older = quoted(2).drop_columns(["ask_price5"])  # as a version with other columns left it
    pq.write_table(older, tmp_path / "answers" / f"A {DAYS[2]}.parquet")
    served.asked.clear()
    ctx.named = {"a day"}  # as `quotemill retry` names what a killed load left
    again = dict(fetch_days(ctx, days))
    assert served.asked == ["A 16", "A 17", "A 18", "A 19"]
    first, second = again[days[0]], again[days[1]]
    assert isinstance(first, TickAnswer)
    assert isinstance(second, TickAnswer)
    assert first.rows == 2
    assert (first.is_earlier, second.is_earlier) == (True, False)
    assert answers.delete_others([("A", DAYS[0]), ("B", DAYS[0])]) == 1


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (LoadRequest("tq"), [15, 16, 17]),
        (LoadRequest("tq", keys=(key_text(scheduled(DAYS[1]).key),)), [15, 17]),
        (LoadRequest("tq", since=DAYS[1], options={"refetch": "yes"}), [15]),
        (LoadRequest("tq", options={"date": str(DAYS[0])}), [16, 17]),
    ],
)
def test_no_answer_is_kept_of_days_that_are_complete_or_read_again(
    tmp_path: Path, wanted: LoadRequest, left: list[int]
) -> None:
    days = [scheduled(day) for day in DAYS[:4]]
    ctx = context(
        answers=AnswerFiles(tmp_path),
        schedule={day.key: day for day in days},
        store=Store(index_row(days[3])),
    )
    ctx.load.request = wanted
    ctx.load.reporter = SimpleNamespace(line=print)  # type: ignore[assignment]
    for day in days:
        (tmp_path / f"{day.contract} {day.trading_day}.parquet").touch()
    plan._count_kept_answers(ctx)
    assert sorted(int(file.stem[-2:]) for file in tmp_path.iterdir()) == left
