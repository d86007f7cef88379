"""Days of a contract asked of a client that fails with some of them: what it costs the others."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from loaders.engine.request import LoadRequest
from loaders.tq.client.answer_files import AnswerFiles
from loaders.tq.client.answers import DayRange, TickAnswer
from loaders.tq.client.harvest import Harvest
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport
from loaders.tq.settings import TqSettings
from loaders.tq.tick_days import plan
from loaders.tq.tick_days.fetch import NotAsked, fetch_days, split_days
from loaders.tq.tick_days.schedule import key_text
from quotemill.errors import UpstreamError
from tests.ticks import quoted
from tests.unit.tq.loads import Store, context, index_row, scheduled

FIRST = date(2025, 10, 15)
DAYS = [FIRST + timedelta(n) for n in range(5)]
CALENDAR = [FIRST - timedelta(1), *DAYS]
ODD: UpstreamError = TqClientError("a column is missing")


class Client:
    """A client for which some days are empty and some fail."""

    alive, days = True, 0

    def __init__(self, errors: dict[date, Exception], empty: Collection[date]) -> None:
        self.errors, self.empty = errors, empty
        self.asked: list[date] = []

    def items(self, _: str, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
        held_back: list[dict[str, Any]] = []
        has_rows = False
        for text, *_ns in args["ranges"]:
            day = date.fromisoformat(text)
            self.asked.append(day)
            yield {"asking": text}
            if day in self.errors:
                raise self.errors[day]
            rows = 0 if day in self.empty else 9
            held_back.append({"trading_day": text, "path": None, "rows": rows})
            has_rows = has_rows or rows > 0
            while has_rows and held_back:
                yield held_back.pop(0) | {"more_days_had_rows": True}
        for item in held_back:
            yield item | {"more_days_had_rows": False}

    def kill(self) -> None:
        """The next process is as good."""
        self.days = 0


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """For each day its rows, its error, or whether its session had ticks of another day."""

    def ask(errors: dict[date, Exception], empty: Collection[date] = ()) -> list[str]:
        client = Client(errors, empty)
        harvest = Harvest(TqSettings(retries=0, wait=0), tmp_path / str(uuid4()))
        monkeypatch.setattr(harvest, "_process", lambda: client)
        ctx = context(harvest=harvest, days=CALENDAR)
        answers = list(fetch_days(ctx, [scheduled(day) for day in DAYS]))
        assert [day.trading_day for day, _ in answers] == DAYS
        assert max(map(client.asked.count, client.asked)) <= 2
        return [
            type(answer).__name__
            if isinstance(answer, Exception)
            else str(answer.rows or answer.more_days_had_rows)
            for _, answer in answers
        ]

    return ask


def test_a_failing_day_costs_no_other_and_two_in_a_row_the_rest(
    fetch: Callable[..., list[str]],
) -> None:
    error = "TqClientError"
    assert fetch({}) == ["9"] * 5
    assert fetch({DAYS[1]: ODD, DAYS[3]: ODD}) == ["9", error, "9", error, "9"]
    assert fetch({DAYS[1]: ODD, DAYS[2]: ODD}) == ["9", error, error, "NotAsked", "NotAsked"]


def test_a_day_that_fails_after_empty_ones_gets_the_error_alone(
    fetch: Callable[..., list[str]],
) -> None:
    error = "TqClientError"
    assert fetch({DAYS[2]: ODD}, DAYS[:2]) == ["True", "True", error, "9", "9"]
    assert fetch({DAYS[2]: ODD}, DAYS) == ["False", "False", error, "False", "False"]
    # between the two the servers answered
    errors = {DAYS[1]: ODD, DAYS[3]: ODD}
    assert fetch(errors, DAYS[:3]) == ["True", error, "True", error, "9"]
    assert fetch({DAYS[1]: TqAnswerError("no bar")}, DAYS[:1])[:2] == ["True", "TqAnswerError"]
    both = fetch({DAYS[1]: ODD, DAYS[2]: ODD}, DAYS[:1])
    assert both == ["NotAsked", error, error, "NotAsked", "NotAsked"]


def test_servers_that_are_away_or_silent_for_two_days_end_the_group(
    fetch: Callable[..., list[str]],
) -> None:
    assert fetch({DAYS[1]: TqTransport("no answer")}) == ["9", *["TqTransport"] * 4]
    silent: UpstreamError = TqTimeout("no sign of life")
    assert fetch({DAYS[0]: silent, DAYS[1]: silent}) == [*["TqTimeout"] * 2, *["TqTransport"] * 3]


def test_a_day_that_the_calendar_lacks_costs_no_other() -> None:
    def answer(asked: DayRange) -> TickAnswer:
        return TickAnswer(asked.trading_day, None, 9, True)

    harvest = SimpleNamespace(ticks=lambda _, ranges: map(answer, ranges))
    ctx = context(harvest=harvest, days=CALENDAR)
    strange = scheduled(DAYS[-1] + timedelta(1))
    (_, first), (_, second) = fetch_days(ctx, [scheduled(FIRST), strange])
    assert isinstance(first, TickAnswer)
    assert isinstance(second, NotAsked)


def test_days_are_cut_at_trading_days_by_their_number_and_that_of_varieties() -> None:
    days = [scheduled(day, contract) for day in DAYS for contract in ("A", "B")]

    def cut(**limits: int) -> list[int]:
        parts = split_days(days, **limits)
        assert [day for part in parts for day in part] == days
        return [len(part) for part in parts]

    assert cut(span=2, most=100) == [4, 4, 2]
    assert cut(span=5, most=5) == [4, 4, 2]
    assert cut(span=5, most=1) == [2] * 5
    assert split_days([], span=5, most=5) == []


class Served:
    """Answers each range by a file; which days of which contract were asked for, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()

    def ticks(self, contract: str, ranges: Sequence[DayRange]) -> Iterator[TickAnswer]:
        for asked in ranges:
            self.asked.append(f"{contract} {asked.trading_day.day}")
            path = self.folder / "answer.parquet"
            pq.write_table(quoted(2), path)
            yield TickAnswer(asked.trading_day, path, 2, True)


def test_each_contract_is_asked_for_some_days_at_once_and_days_come_by_date(
    tmp_path: Path,
) -> None:
    served = Served(tmp_path)
    answers = AnswerFiles(tmp_path / "answers")
    ctx = context(harvest=served, days=CALENDAR, answers=answers)
    ctx.settings = ctx.settings.model_copy(update={"days_per_process": 2})
    days = [scheduled(day, contract) for day in DAYS for contract in ("A", "B")]
    assert [day for day, _ in fetch_days(ctx, days)] == days
    windows = "A 15, A 16, B 15, B 16", "A 17, A 18, B 17, B 18", "A 19, B 19"
    assert served.asked == ", ".join(windows).split(", ")
    assert len([*(tmp_path / "answers").iterdir()]) == len(days), "until they are deleted"


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
    assert (first.rows, first.more_days_had_rows) == (2, True)
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
