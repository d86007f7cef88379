"""A day that alone fails, night after night: until when it is a failure, and what ends it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from loaders.engine.outcome import Outcome
from loaders.tq.client.answers import TickAnswer
from loaders.tq.context import Context
from loaders.tq.datasets import ticks
from loaders.tq.errors import TqClientError, TqTimeout, TqTransport, UnknownSymbol
from loaders.tq.tick_days.batch import CheckedDay
from loaders.tq.tick_days.fetch import NotAsked
from loaders.tq.tick_days.no_data_days import record_empty_day
from loaders.tq.tick_days.records import NoDataDays
from loaders.tq.tick_days.rules import find_due_days
from quotemill.errors import DataQualityError
from quotemill.warehouse.postgres import WarehouseAway
from tests.ticks import quoted
from tests.unit.tq.loads import Store, context, index_row, scheduled

FIRST = date(2025, 10, 15)
DAYS = [FIRST + timedelta(n) for n in range(5)]
CALENDAR = [FIRST - timedelta(1), *DAYS, *(date(2025, 11, 3) + timedelta(n) for n in range(200))]
START = datetime(2025, 11, 3, 10, tzinfo=UTC)
EXPIRES = date(2999, 12, 31)
DAY = scheduled(FIRST)


class Nights:
    """Loads of one store, one after another."""

    def __init__(self) -> None:
        self.store = Store()
        self.said: list[str] = []

    def load(self, nights: float, answer: Any = EXPIRES) -> Context:
        """The load some nights after the first."""
        return context(
            store=self.store,
            now=START + timedelta(nights),
            answer=answer,
            said=self.said,
            days=CALENDAR,
            settled_days={"SHFE.cu": DAYS[-1]},
            history_gave=True,
        )

    def is_missing(self, nights: float) -> bool:
        """Whether the load of that night asks for the first day."""
        due = find_due_days(
            [DAY],
            {},
            NoDataDays(self.store, ()).checked_at,  # type: ignore[arg-type]
            {"SHFE.cu": DAYS[-1]},
            as_of=START + timedelta(nights),
            recheck_after=timedelta(days=30),
        )
        return bool(due)

    def find_nothing(self, nights: float, *, traded: int | None = 10) -> Outcome:
        answer = TickAnswer(None, 0, more_days_have_rows=False)
        return record_empty_day(self.load(nights), DAY, answer, traded)


@pytest.fixture
def nights() -> Nights:
    return Nights()


@pytest.mark.parametrize("traded", [None, 0, 1000])
def test_a_day_that_is_empty_night_after_night_ends_on_record(
    nights: Nights, traded: int | None
) -> None:
    for night in (0, 1, 1.1, 2, 29):
        assert nights.is_missing(night)
        failure = nights.find_nothing(night, traded=traded).failure
        assert failure is not None
        assert "asked again by each load until 2025-12-03" in failure
    assert failure.endswith(", and on 5 trading days (4 so far)")
    assert nights.is_missing(30)
    ended = nights.find_nothing(30, traded=traded)
    assert ended.failure is None
    assert ended.skipped is not None
    assert ended.skipped.endswith("so since 2025-11-03")
    [row] = nights.store.rows.values()
    assert (row.status, row.attempts, row.first_checked_at) == ("no_data", 6, START)
    assert "the same session had no tick of any other day" in row.reason
    assert ("a day bar of 1,000 lots" in row.reason) == (traded == 1000)
    # from now on under the same rule as any day without data
    assert [nights.is_missing(night) for night in (31, 59, 60)] == [False, False, True]
    assert nights.find_nothing(60).failure is None
    assert not nights.is_missing(61)


def test_monthly_loads_give_a_day_up_after_as_many_loads_as_nightly_ones(nights: Nights) -> None:
    for months in range(4):
        assert nights.find_nothing(30 * months).failure is not None
    assert nights.find_nothing(120).failure is None
    [row] = nights.store.rows.values()
    assert (row.status, row.nights) == ("no_data", 5)


def test_loads_of_a_weekend_or_of_one_evening_are_one_night(nights: Nights) -> None:
    for hours in (0, 2, 5):  # from 18:00 in Shanghai on
        nights.find_nothing(hours / 24)
    [row] = nights.store.rows.values()
    assert (row.nights, row.attempts) == (1, 3)
    for day in (4, 5, 6):  # Friday evening to Sunday evening
        ctx = nights.load(day)
        ctx.days = [FIRST, date(2025, 11, 7), date(2025, 11, 10)]
        record_empty_day(ctx, DAY, TickAnswer(None, 0, False), 10)
    [row] = nights.store.rows.values()
    assert row.nights == 2


def test_ticks_end_the_count_and_take_back_the_record(nights: Nights) -> None:
    for night in (0, 1, 2, 3, 30):
        nights.find_nothing(night)
    nights.load(60).no_data.take_back([DAY.key])
    [row] = nights.store.rows.values()
    assert row.status == "superseded"
    assert nights.load(61).no_data.get(DAY.key) is None
    assert "on 5 trading days (1 so far)" in str(nights.find_nothing(90).failure)
    [row] = nights.store.rows.values()
    assert (row.attempts, row.first_checked_at) == (1, START + timedelta(90))


def test_a_short_day_that_is_gone_keeps_its_ticks_with_a_warning(nights: Nights) -> None:
    nights.store.put_index([index_row(DAY, status="short", day_volume=1000)])
    for night in (0, 1, 2, 3, 30):
        outcome = ticks.check_day(
            nights.load(night, answer=1000), DAY, UnknownSymbol(["SHFE.cu2511"])
        )
        assert "the 9 ticks of 900 lots that are stored stay" in str(outcome.skipped)
        assert nights.is_missing(night) == (night < 30)
    [row] = nights.store.indexed.values()
    assert (row.status, row.rows) == ("short", 9)
    assert [row.status for row in nights.store.rows.values()] == ["short"]
    [warning] = nights.said
    assert "stays short: the futures servers know no SHFE.cu2511" in warning
    assert [nights.is_missing(night) for night in (59, 60)] == [False, True]


@pytest.mark.parametrize("error", [UnknownSymbol(["SHFE.cu2511"]), TqClientError("a column")])
def test_a_stored_day_that_a_repair_does_not_get_is_never_on_record(
    nights: Nights, error: Exception
) -> None:
    nights.store.put_index([index_row(DAY)])
    for night in (0, 1, 2, 3, 30):
        ctx = nights.load(night)
        ctx.named = {"the day"}
        outcome = ticks.check_day(ctx, DAY, error)
        assert "that are stored stay; `loaders run tq" in str(outcome.failure)
    assert nights.store.rows == {}
    assert DAY.key in nights.store.indexed


def test_an_untraded_day_that_nothing_else_explains_is_on_record_at_once(nights: Nights) -> None:
    answer = TickAnswer(None, 0, True)
    assert record_empty_day(nights.load(0), DAY, answer, 0).failure is None
    assert [row.status for row in nights.store.rows.values()] == ["no_data"]


@pytest.mark.parametrize("traded", [None, 473])
def test_an_outage_of_an_evening_puts_no_traded_day_on_record(
    nights: Nights, traded: int | None
) -> None:
    answer = TickAnswer(None, 0, True)
    for night in (0, 1 / 24, 1, 2, 3):
        failure = record_empty_day(nights.load(night), DAY, answer, traded).failure
        assert "asked again by each load until it was so on 5 trading days" in str(failure)
        assert nights.is_missing(night)
    silent = nights.load(4)
    silent.history_gave = False
    failure = record_empty_day(silent, DAY, answer, 473).failure
    assert "the history had no tick of any day" in str(failure)
    assert record_empty_day(nights.load(7), DAY, answer, traded).failure is None
    assert [row.status for row in nights.store.rows.values()] == ["no_data"]
    assert not nights.is_missing(8)


@pytest.mark.parametrize(
    ("error", "gives_up"),
    [
        (TqClientError("a column is missing"), True),
        (TqTimeout("no sign of life"), True),
        (UnknownSymbol(["SHFE.cu2511"]), True),
        (DataQualityError("all 12 ticks of the day are refused"), True),
        (NotAsked("two days before it"), False),
        (TqTransport("no answer"), False),
    ],
)
def test_failures_of_the_day_alone_end_it_and_those_of_servers_never(
    nights: Nights, error: Exception, gives_up: bool
) -> None:
    first = ticks.check_day(nights.load(0), DAY, error)
    assert str(error) in str(first.failure)
    assert (first.gone is not None) == (type(error) is TqTransport)
    for night in (1, 2, 3):
        ticks.check_day(nights.load(night), DAY, error)
    last = ticks.check_day(nights.load(30), DAY, error)
    assert (last.failure is None) == gives_up
    assert bool(nights.store.rows) == gives_up


def test_nights_of_servers_that_gave_nothing_at_all_do_not_count(nights: Nights) -> None:
    def end(night: int, gave: bool) -> Outcome:
        ctx = nights.load(night)
        ctx.history_gave = gave
        return ticks.check_day(ctx, DAY, TqTimeout("no sign of life"))

    assert [end(night, gave=False).failure for night in (0, 1, 40)] == ["no sign of life"] * 3
    [row] = nights.store.rows.values()
    assert (row.status, row.nights) == ("doubtful", 0)
    # asked after all others from now on, so that they show whether the servers live
    assert nights.load(41).no_data.failed == {DAY.key}
    for night in (41, 42, 43, 44):
        assert "asked again by each load until 2026-01-13" in str(end(night, gave=True).failure)
    end(45, gave=False)
    [row] = nights.store.rows.values()
    assert (row.nights, row.first_checked_at) == (4, START + timedelta(41))
    assert end(71, gave=True).failure is None


@pytest.mark.parametrize("earlier", [True, False])
def test_an_answer_of_an_earlier_load_shows_no_history_that_answers_now(
    nights: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    monkeypatch.setattr(ticks, "describe_gap", lambda *_: None)
    monkeypatch.setattr(Context, "last_minutes", lambda *_: START)
    monkeypatch.setattr(ticks, "warn_of_oddities", lambda *_, **__: None)
    path = tmp_path / "answer.parquet"
    pq.write_table(quoted(20, day=FIRST), path)
    ctx = nights.load(0, answer=None)
    ctx.history_gave = False
    answer = TickAnswer(path, 20, True, is_earlier=earlier)
    assert isinstance(ticks.check_day(ctx, DAY, answer), CheckedDay)
    assert ctx.history_gave is not earlier


def test_a_warehouse_that_is_away_says_nothing_about_a_day(nights: Nights) -> None:
    with pytest.raises(WarehouseAway):
        ticks.check_day(nights.load(0), DAY, WarehouseAway("no answer"))
    assert nights.store.rows == {}


def test_a_count_by_a_later_clock_begins_again(nights: Nights) -> None:
    """As in a sandbox's home after a load without `--as-of`."""
    for later in range(400, 405):
        nights.find_nothing(later)
    for night in (0, 1, 2, 3):
        failure = nights.find_nothing(night).failure
        assert failure is not None
        assert "until 2025-12-03" in failure
    assert nights.find_nothing(30).skipped is not None
    assert [nights.is_missing(night) for night in (29, 31)] == [True, False]
