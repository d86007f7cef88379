"""A day that alone fails, night after night: until when it is a failure, and what ends it."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from loaders.engine.outcome import Outcome
from loaders.errors import DataQualityError, UpstreamError
from loaders.ticks.frame import DayKey
from loaders.ticks.store import IndexRow, NoDataRow
from loaders.tq.client.answers import DayRange, TickAnswer
from loaders.tq.client.harvest import Harvest
from loaders.tq.datasets import ticks
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport, UnknownSymbol
from loaders.tq.settings import TqSettings
from loaders.tq.tick_days.backlog import Scheduled, backlog, key_of
from loaders.tq.tick_days.fetch import NotAsked, answers
from loaders.tq.tick_days.ledgers import Ledgers
from loaders.tq.tick_days.no_data_days import without_ticks
from loaders.tq.tick_days.plan import _fresh_and_again
from loaders.warehouse.postgres import WarehouseAway

FIRST = date(2025, 10, 15)
DAYS = [FIRST + timedelta(n) for n in range(5)]
CALENDAR = [FIRST - timedelta(1), *DAYS, *(date(2025, 11, 3) + timedelta(n) for n in range(200))]
START = datetime(2025, 11, 3, 10, tzinfo=UTC)
EXPIRES = date(2999, 12, 31)


def on(day: date, contract: str = "SHFE.cu2511") -> Scheduled:
    row = ("SHFE.cu", "KQ.m@SHFE.cu", day, contract, 1, None, False, "hash 1", "backtest")
    return Scheduled(*row)


class Store:
    def __init__(self) -> None:
        self.rows: dict[DayKey, NoDataRow] = {}
        self.complete: dict[DayKey, IndexRow] = {}

    def put_no_data(self, rows: Sequence[NoDataRow]) -> None:
        self.rows |= {key_of(row): row for row in rows}

    def no_data(self, _: object) -> list[NoDataRow]:
        return list(self.rows.values())

    def put_index(self, rows: Sequence[IndexRow]) -> None:
        self.complete |= {key_of(row): row for row in rows}

    def index(self, _: object) -> list[IndexRow]:
        return list(self.complete.values())


class Nights:
    """Loads of one store, one after another."""

    def __init__(self) -> None:
        self.store = Store()
        self.said: list[str] = []

    def load(self, nights: float, harvest: Any = None) -> Any:
        """The load some nights after the first."""
        now = START + timedelta(nights)
        return SimpleNamespace(
            ledgers=Ledgers(cast(Any, self.store), ()),
            outdated=frozenset(),
            copies={},
            days=CALENDAR,
            settled_days={"SHFE.cu": DAYS[-1]},
            settings=SimpleNamespace(recheck_after=30, concurrency=1),
            history_gave=True,
            load=SimpleNamespace(clock=lambda: now, warn=self.said.append),
            halted=threading.Event(),
            harvest=harvest,
            ask=lambda _: EXPIRES,
        )

    def missing(self, nights: float) -> bool:
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


def empty(nights: Nights, after: float, *, seen: bool = False, traded: int | None = 10) -> Outcome:
    answer = TickAnswer(FIRST, None, 0, seen)
    return without_ticks(nights.load(after), on(FIRST), answer, traded)


@pytest.mark.parametrize("traded", [None, 0, 1000])
def test_a_day_that_is_empty_night_after_night_ends_on_record(traded: int | None) -> None:
    nights = Nights()
    for night in (0, 1, 1.1, 2, 29):
        assert nights.missing(night)
        failure = empty(nights, night, traded=traded).failure
        assert failure is not None
        assert "asked again by each load until 2025-12-03" in failure
    assert failure.endswith(", and on 5 trading days (4 so far)")
    assert nights.missing(30)
    ended = empty(nights, 30, traded=traded)
    assert ended.failure is None
    assert ended.skipped is not None
    assert ended.skipped.endswith("so since 2025-11-03")
    [row] = nights.store.rows.values()
    assert (row.status, row.attempts, row.first_checked_at) == ("no_data", 12, START)
    assert "the same sessions had no tick of any other day" in row.reason
    assert ("a day bar of 1,000 lots" in row.reason) == (traded == 1000)
    # from now on under the same rule as any day without data
    assert [nights.missing(night) for night in (31, 59, 60)] == [False, False, True]
    assert empty(nights, 60).failure is None
    assert not nights.missing(61)


def test_who_loads_each_month_gives_a_day_up_after_as_many_loads_as_who_loads_each_night() -> None:
    nights = Nights()
    for months in range(4):
        assert empty(nights, 30 * months).failure is not None
    assert empty(nights, 120).failure is None
    [row] = nights.store.rows.values()
    assert (row.status, row.nights) == ("no_data", 5)


def test_loads_of_a_weekend_or_of_one_evening_are_one_night() -> None:
    nights = Nights()
    for hours in (0, 2, 5):  # from 18:00 in Shanghai on
        empty(nights, hours / 24)
    [row] = nights.store.rows.values()
    assert (row.nights, row.attempts) == (1, 6)
    weekend = [FIRST, date(2025, 11, 7), date(2025, 11, 10)]
    for day in (4, 5, 6):  # Friday evening to Sunday evening
        run = nights.load(day)
        run.days = weekend
        without_ticks(run, on(FIRST), TickAnswer(FIRST, None, 0, False), 10)
    [row] = nights.store.rows.values()
    assert row.nights == 2


def test_ticks_that_come_end_the_count_and_take_back_what_was_on_record() -> None:
    nights = Nights()
    for night in (0, 1, 2, 3, 30):
        empty(nights, night)
    run = nights.load(60)
    run.ledgers.landed(complete(FIRST))
    [row] = nights.store.rows.values()
    assert row.status == "superseded"
    assert nights.load(61).ledgers.without(on(FIRST).key) is None
    nights.store.complete.clear()  # lost, long after
    assert "on 5 trading days (1 so far)" in str(empty(nights, 90).failure)
    [row] = nights.store.rows.values()
    assert (row.attempts, row.first_checked_at) == (2, START + timedelta(90))


def complete(day: date) -> IndexRow:
    segment = (1, "hash 1", 9, START, START, 1, 2, "0102", 5, "1", START)
    return IndexRow(*on(day).key, *segment, volume=900, day_volume=900)


def test_a_corrected_day_that_cannot_be_had_any_more_keeps_what_is_stored_and_is_said_so() -> None:
    nights = Nights()
    nights.store.put_index([complete(FIRST)])
    gone = UnknownSymbol(["SHFE.cu2511"])
    for night in (0, 1, 2, 3, 30):
        run = nights.load(night)
        run.outdated = frozenset({on(FIRST).key})
        run.ask = lambda _: 1000
        ended = ticks._outcome(run, on(FIRST), gone)
        assert (ended.failure is None) == (night == 30)
    [row] = nights.store.complete.values()
    assert (row.status, row.rows, row.day_volume) == ("complete", 9, 1000)
    assert [row.status for row in nights.store.rows.values()] == ["superseded"]
    [said] = nights.said
    assert "the futures servers know no SHFE.cu2511" in said
    assert "that are stored stay" in said


@pytest.mark.parametrize("wrong", [UnknownSymbol(["SHFE.cu2511"]), None])
def test_a_stored_day_that_a_repair_cannot_have_is_never_on_record_as_empty(
    wrong: Exception | None,
) -> None:
    nights = Nights()
    nights.store.put_index([complete(FIRST)])
    for night in (0, 1, 2, 3, 30):
        run = nights.load(night)
        if wrong is None:
            found = without_ticks(run, on(FIRST), TickAnswer(FIRST, None, 0, True), 10)
        else:
            found = ticks._outcome(run, on(FIRST), wrong)
        assert str(found.failure).endswith("what is stored stays")
    assert nights.store.rows == {}


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
    for night in (1, 2, 3):
        ticks._outcome(nights.load(night), on(FIRST), error)
    last = ticks._outcome(nights.load(30), on(FIRST), error)
    assert (last.failure is None) == gives_up
    assert bool(nights.store.rows) == gives_up


def test_nights_of_servers_that_were_silent_from_the_beginning_count_for_nothing() -> None:
    nights, silent = Nights(), TqTimeout("no sign of life")

    def ended(night: int, gave: bool) -> Outcome:
        run = nights.load(night)
        run.history_gave = gave
        return ticks._outcome(run, on(FIRST), silent)

    assert [ended(night, gave=False).failure for night in (0, 1, 40)] == ["no sign of life"] * 3
    [row] = nights.store.rows.values()
    assert (row.status, row.nights) == ("doubtful", 0)
    # comes after all others from now on, so that they show whether the servers live
    assert _fresh_and_again(nights.load(41), [on(FIRST), on(DAYS[1])]) == (
        [on(DAYS[1])],
        [on(FIRST)],
    )
    for night in (41, 42, 43, 44):
        assert "asked again by each load until 2026-01-13" in str(ended(night, gave=True).failure)
    ended(45, gave=False)
    [row] = nights.store.rows.values()
    assert (row.nights, row.first_checked_at) == (4, START + timedelta(41))
    assert ended(71, gave=True).failure is None


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
    strange = on(DAYS[-1] + timedelta(1))
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
