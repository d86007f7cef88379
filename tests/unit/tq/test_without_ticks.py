"""A day that alone fails, night after night: until when it is a failure, and what ends it."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from loaders.engine.outcome import Outcome
from loaders.errors import DataQualityError, UpstreamError
from loaders.ticks.frame import DayKey
from loaders.ticks.store import NoDataRow
from loaders.tq.backlog import Scheduled, backlog
from loaders.tq.datasets import ticks
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport, UnknownSymbol
from loaders.tq.service.answers import DayRange, TickAnswer
from loaders.tq.service.harvest import Harvest
from loaders.tq.settings import TqSettings
from loaders.tq.tick_harvest import NotAsked, answers
from loaders.tq.without_ticks import without_ticks
from loaders.warehouse.postgres import WarehouseAway

FIRST = date(2025, 10, 15)
DAYS = [FIRST + timedelta(n) for n in range(5)]
START = datetime(2025, 11, 3, 10, tzinfo=UTC)
EXPIRES = date(2999, 12, 31)


def on(day: date, contract: str = "SHFE.cu2511") -> Scheduled:
    row = ("SHFE.cu", "KQ.m@SHFE.cu", day, contract, 1, None, False, "hash 1", "backtest")
    return Scheduled(*row)


class Store:
    def __init__(self) -> None:
        self.rows: dict[DayKey, NoDataRow] = {}

    def put_no_data(self, rows: Sequence[NoDataRow]) -> None:
        for row in rows:
            self.rows[DayKey(row.symbol, row.contract, row.trading_day)] = row


class Nights:
    """Loads of one store, one after another."""

    def __init__(self) -> None:
        self.store = Store()

    def load(self, nights: int, harvest: Any = None) -> Any:
        """The load some nights after the first."""
        now = START + timedelta(nights)
        return SimpleNamespace(
            store=self.store,
            empty=dict(self.store.rows),
            days=[FIRST - timedelta(1), *DAYS],
            settled_days={"SHFE.cu": DAYS[-1]},
            settings=SimpleNamespace(recheck_after=30, concurrency=1),
            history_gave=True,
            load=SimpleNamespace(clock=lambda: now),
            halted=threading.Event(),
            harvest=harvest,
            ask=lambda _: EXPIRES,
        )

    def missing(self, nights: int) -> bool:
        """Does the load of that night ask for the first day?"""
        found = backlog(
            [on(FIRST)],
            [],
            list(self.store.rows.values()),
            {"SHFE.cu": DAYS[-1]},
            START + timedelta(nights),
            timedelta(days=30),
        )
        return bool(found.missing)


def empty(nights: Nights, after: int, *, seen: bool = False, traded: int | None = 10) -> Outcome:
    answer = TickAnswer(FIRST, None, 0, seen)
    return without_ticks(nights.load(after), on(FIRST), answer, traded)


@pytest.mark.parametrize("traded", [None, 0, 1000])
def test_a_day_that_is_empty_night_after_night_ends_on_record(traded: int | None) -> None:
    nights = Nights()
    for night in (0, 1, 29):
        assert nights.missing(night)
        failure = empty(nights, night, traded=traded).failure
        assert failure is not None
        assert failure.endswith("asked again by each load until 2025-12-03")
    assert nights.missing(30)
    ended = empty(nights, 30, traded=traded)
    assert ended.failure is None
    assert ended.skipped is not None
    assert ended.skipped.endswith("so since 2025-11-03")
    [row] = nights.store.rows.values()
    assert (row.status, row.attempts, row.first_checked_at) == ("no_data", 8, START)
    assert "the same sessions had no tick of any other day" in row.reason
    assert ("a day bar of 1,000 lots" in row.reason) == (traded == 1000)
    # from now on under the same rule as any day without data
    assert [nights.missing(night) for night in (31, 59, 60)] == [False, False, True]
    assert empty(nights, 60).failure is None
    assert not nights.missing(61)


def test_a_day_that_nothing_else_explains_is_on_record_at_once() -> None:
    nights = Nights()
    soon = nights.load(0)
    soon.settled_days = {"SHFE.cu": DAYS[2]}
    found = TickAnswer(FIRST, None, 0, True)
    assert "only just settled" in str(without_ticks(soon, on(FIRST), found, 10).failure)
    mute = nights.load(1)
    mute.history_gave = False
    assert "the history had no tick of any day" in str(
        without_ticks(mute, on(FIRST), found, 10).failure
    )
    assert without_ticks(nights.load(1), on(FIRST), found, 10).failure is None
    assert [row.status for row in nights.store.rows.values()] == ["no_data"]


@pytest.mark.parametrize(
    ("error", "gives_up"),
    [
        (TqClientError("a column is not there"), True),
        (TqTimeout("no sign of life"), True),
        (UnknownSymbol(["SHFE.cu2511"]), True),
        (DataQualityError("all 12 ticks of the day are refused"), True),
        (NotAsked("two days before it"), False),
        (TqTransport("nobody answers"), False),
    ],
)
def test_what_fails_with_the_day_alone_ends_it_and_servers_that_are_away_never_do(
    error: Exception, gives_up: bool
) -> None:
    nights = Nights()
    first = ticks._outcome(nights.load(0), on(FIRST), error)
    assert str(error) in str(first.failure)
    assert (first.gone is not None) == (type(error) is TqTransport)
    last = ticks._outcome(nights.load(30), on(FIRST), error)
    assert (last.failure is None) == gives_up
    assert bool(nights.store.rows) == gives_up


def test_a_warehouse_that_is_away_says_nothing_of_a_day() -> None:
    nights = Nights()
    with pytest.raises(WarehouseAway):
        ticks._outcome(nights.load(0), on(FIRST), WarehouseAway("nobody answers"))
    assert nights.store.rows == {}


class Client:
    """A process of the client, to which some days are empty and some are too much."""

    alive, days = True, 0

    def __init__(self, wrong: dict[date, Exception], empty: Collection[date]) -> None:
        self.wrong, self.empty = wrong, empty
        self.asked: list[date] = []

    def items(self, _: str, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
        held_back: list[dict[str, Any]] = []
        seen = False
        for text, *_ns in args["ranges"]:
            day = date.fromisoformat(text)
            self.asked.append(day)
            yield {"asking": text}
            if day in self.wrong:
                raise self.wrong[day]
            rows = 0 if day in self.empty else 9
            held_back.append({"trading_day": text, "path": None, "rows": rows})
            seen = seen or rows > 0
            while seen and held_back:
                yield held_back.pop(0) | {"more_days_had_rows": True}
        for item in held_back:
            yield item | {"more_days_had_rows": False}

    def kill(self) -> None:
        """The next one is as good."""
        self.days = 0


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What a load is told of each day: its ticks, or what failed; of an empty one, whether its session had
    ticks of another."""

    def ask(wrong: dict[date, Exception], empty: Collection[date] = ()) -> list[str]:
        client = Client(wrong, empty)
        harvest = Harvest(TqSettings(retries=0), tmp_path / str(uuid4()))
        monkeypatch.setattr(harvest, "_process", lambda: client)
        run = Nights().load(0, harvest)
        found = list(answers(run, [on(day) for day in DAYS]))
        assert [day.trading_day for day, _ in found] == DAYS
        assert max(map(client.asked.count, client.asked)) <= 2
        return [
            type(answer).__name__
            if isinstance(answer, Exception)
            else str(answer.rows or answer.more_days_had_rows)
            for _, answer in found
        ]

    return ask


def test_a_day_that_the_client_chokes_on_costs_no_other_and_two_in_a_row_the_rest(
    told: Callable[..., list[str]],
) -> None:
    choked = TqClientError("a column is not there")
    assert told({}) == ["9"] * 5
    assert told({DAYS[1]: choked, DAYS[3]: choked}) == [
        "9", "TqClientError", "9", "TqClientError", "9",
    ]  # fmt: skip
    assert told({DAYS[1]: choked, DAYS[2]: choked}) == [
        "9", "TqClientError", "TqClientError", "NotAsked", "NotAsked",
    ]  # fmt: skip


def test_a_day_that_fails_after_empty_ones_is_the_one_that_is_told_so(
    told: Callable[..., list[str]],
) -> None:
    choked = TqClientError("a column is not there")
    assert told({DAYS[2]: choked}, DAYS[:2]) == ["True", "True", "TqClientError", "9", "9"]
    assert told({DAYS[2]: choked}, DAYS) == ["False", "False", "TqClientError", "False", "False"]
    # between the two the servers answered
    assert told({DAYS[1]: choked, DAYS[3]: choked}, DAYS[:3]) == [
        "True", "TqClientError", "True", "TqClientError", "9",
    ]  # fmt: skip
    wrong: UpstreamError = TqAnswerError("no bar")
    assert told({DAYS[1]: wrong}, DAYS[:1])[:2] == ["True", "TqAnswerError"]
    both = told({DAYS[1]: choked, DAYS[2]: choked}, DAYS[:1])
    assert both == ["NotAsked", "TqClientError", "TqClientError", "NotAsked", "NotAsked"]


def test_a_day_that_the_calendar_lacks_costs_no_other() -> None:
    run = Nights().load(0, SimpleNamespace(ticks=lambda _, ranges: map(whole, ranges)))
    strange = on(FIRST + timedelta(100))
    (_, first), (_, second) = answers(run, [on(FIRST), strange])
    assert isinstance(first, TickAnswer)
    assert isinstance(second, NotAsked)


def whole(asked: DayRange) -> TickAnswer:
    return TickAnswer(asked.trading_day, None, 9, True)


def test_servers_that_are_away_or_silent_for_two_days_end_the_group(
    told: Callable[..., list[str]],
) -> None:
    assert told({DAYS[1]: TqTransport("nobody answers")}) == ["9", *["TqTransport"] * 4]
    silent: UpstreamError = TqTimeout("no sign of life")
    assert told({DAYS[0]: silent, DAYS[1]: silent}) == [*["TqTimeout"] * 2, *["TqTransport"] * 3]
