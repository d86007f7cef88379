"""A day that alone fails, load after load: until when it is a failure, and what ends it."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.outcome import Outcome
from loaders.ticks.store import NoDataRow
from loaders.tq.context import Context
from loaders.tq.datasets import ticks
from loaders.tq.errors import TqClientError, TqTimeout, TqTransport, UnknownSymbol
from loaders.tq.tick_days.fetch import NotAsked
from loaders.tq.tick_days.no_data_days import note_short, record_empty_day
from loaders.tq.tick_days.records import NoDataDays
from loaders.tq.tick_days.rules import find_due_days
from quotemill.errors import DataQualityError
from quotemill.warehouse.postgres import WarehouseAway
from tests.unit.tq.loads import Store, context, index_row, scheduled

FIRST = date(2025, 10, 15)
DAYS = [FIRST + timedelta(n) for n in range(5)]
CALENDAR = [FIRST - timedelta(1), *DAYS, *(date(2025, 11, 3) + timedelta(n) for n in range(200))]
START = datetime(2025, 11, 3, 10, tzinfo=UTC)
OLD = 11  # nights after START: the first day is as old as RECHECK_AFTER
DAY = scheduled(FIRST)


class Nights:
    """Loads of one store, one after another."""

    def __init__(self) -> None:
        self.store = Store()
        self.said: list[str] = []

    def load(self, nights: float, answer: Any = None, *, gave: bool = True) -> Context:
        """The load some nights after the first; `gave`: whether other days had ticks in it."""
        return context(
            store=self.store,
            now=START + timedelta(nights),
            answer=answer,
            said=self.said,
            days=CALENDAR,
            settled_days={"SHFE.cu": DAYS[-1]},
            history_gave=gave,
        )

    def is_missing(self, nights: float) -> bool:
        """Whether the load of that night asks for the first day."""
        due = find_due_days(
            [DAY],
            {},
            NoDataDays(self.store, ()).checked_at,  # type: ignore[arg-type]
            {"SHFE.cu": DAYS[-1]},
            as_of=START + timedelta(nights),
        )
        return bool(due)

    def find_nothing(self, nights: float, *, traded: int | None = 10, gave: bool = True) -> Outcome:
        return record_empty_day(self.load(nights, gave=gave), DAY, traded)

    @property
    def row(self) -> NoDataRow:
        [row] = self.store.rows.values()
        return row


@pytest.fixture
def nights() -> Nights:
    return Nights()


@pytest.mark.parametrize("traded", [None, 1000])
def test_a_day_that_stays_empty_ends_on_record_by_its_age(
    nights: Nights, traded: int | None
) -> None:
    for night in (0, 1, OLD - 1):
        assert nights.is_missing(night)
        outcome = nights.find_nothing(night, traded=traded)
        text = outcome.failure if traded else outcome.skipped
        assert "2025-11-14" in str(text)
        assert (outcome.failure is None) == (traded is None)
    assert nights.is_missing(OLD)
    ended = nights.find_nothing(OLD, traded=traded)
    assert ended.failure is None
    assert str(ended.skipped).endswith(" 30 days")
    assert (nights.row.status, nights.row.attempts) == ("no_data", 4)
    assert (" 1,000 " in nights.row.reason) == (traded == 1000)
    # from now on under the same rule as any day without data, whatever the history gives
    asked = [nights.is_missing(OLD + n) for n in (1, 29, 30)]
    assert asked == [False, False, True]
    assert nights.find_nothing(OLD + 30, gave=False).failure is None
    assert not nights.is_missing(OLD + 31)


def test_an_old_day_goes_on_record_by_one_load_that_got_ticks_of_others(nights: Nights) -> None:
    assert nights.find_nothing(OLD).failure is None
    assert nights.row.status == "no_data"


def test_a_history_that_is_empty_as_a_whole_is_believed_by_the_fifth_load(nights: Nights) -> None:
    for hours in range(4):
        failure = nights.find_nothing(OLD + hours / 24, gave=False).failure
        assert re.search(rf" 5 .*\({hours + 1} ", str(failure))
        assert nights.is_missing(OLD + hours / 24)
    assert nights.find_nothing(OLD + 1, gave=False).failure is None
    assert nights.row.status == "no_data"


def test_ticks_take_back_the_record(nights: Nights) -> None:
    nights.find_nothing(OLD)
    nights.load(60).no_data.take_back([DAY.key])
    assert nights.row.status == "superseded"
    assert nights.load(61).no_data.get(DAY.key) is None
    nights.find_nothing(90, gave=False)
    assert (nights.row.status, nights.row.attempts) == ("missing", 1)


def test_a_short_day_that_is_gone_keeps_its_ticks_with_a_warning(nights: Nights) -> None:
    nights.store.put_index([index_row(DAY, status="short", day_volume=1000)])
    for night in (0, 1, 2, 3, OLD):
        outcome = ticks.check_day(
            nights.load(night, answer=1000), DAY, UnknownSymbol(["SHFE.cu2511"])
        )
        assert re.search(r" 9 .*\(900 ", str(outcome.skipped))
        assert nights.is_missing(night) == (night < OLD)
    [row] = nights.store.indexed.values()
    assert (row.status, row.rows) == ("short", 9)
    assert nights.row.status == "short"
    [warning] = nights.said
    assert "SHFE.cu2511" in warning
    assert [nights.is_missing(OLD + n) for n in (29, 30)] == [False, True]


@pytest.mark.parametrize(("nights_later", "status"), [(OLD - 1, "missing"), (OLD, "short")])
def test_a_day_with_too_few_ticks_is_on_record_by_its_age(
    nights: Nights, nights_later: int, status: str
) -> None:
    note_short(nights.load(nights_later), DAY, "few")
    assert (nights.row.status, nights.row.attempts) == (status, 1)


@pytest.mark.parametrize("error", [UnknownSymbol(["SHFE.cu2511"]), TqClientError("a column")])
def test_a_stored_day_that_a_repair_does_not_get_is_never_on_record(
    nights: Nights, error: Exception
) -> None:
    nights.store.put_index([index_row(DAY)])
    for night in (0, 1, 2, 3, OLD):
        ctx = nights.load(night)
        ctx.named = {"the day"}
        outcome = ticks.check_day(ctx, DAY, error)
        assert "`loaders run tq" in str(outcome.failure)
    assert nights.store.rows == {}
    assert DAY.key in nights.store.indexed


def test_a_day_whose_bar_has_no_lot_is_on_record_at_once(nights: Nights) -> None:
    assert nights.find_nothing(0, traded=0, gave=False).failure is None
    assert nights.row.status == "no_data"


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
    for night in (OLD, OLD + 1, OLD + 2):
        assert ticks.check_day(nights.load(night), DAY, error).failure is not None
    last = ticks.check_day(nights.load(OLD + 3), DAY, error)
    assert (last.failure is None) == gives_up
    assert bool(nights.store.rows) == gives_up


def test_loads_of_servers_that_gave_nothing_at_all_do_not_count(nights: Nights) -> None:
    def end(night: int, *, gave: bool) -> Outcome:
        return ticks.check_day(nights.load(night, gave=gave), DAY, TqTimeout("silence"))

    assert [end(night, gave=False).failure for night in (0, 1, 40)] == ["silence"] * 3
    assert (nights.row.status, nights.row.attempts) == ("missing", 0)
    # asked after all others from now on, so that they show whether the servers live
    assert nights.load(41).no_data.failed == {DAY.key}
    for night in (41, 42, 43, 44):
        assert " 5 " in str(end(night, gave=True).failure)
    end(45, gave=False)
    assert nights.row.attempts == 4
    assert end(46, gave=True).failure is None


def test_a_file_that_cannot_be_read_is_a_failure_of_its_day(nights: Nights, tmp_path: Path) -> None:
    damaged = tmp_path / "ticks.parquet"
    damaged.write_bytes(b"PAR1, and then the disk was full")
    failure = ticks.check_day(nights.load(0), DAY, damaged).failure
    assert damaged.name in str(failure)
    assert nights.row.status == "missing"


def test_a_warehouse_that_is_away_says_nothing_about_a_day(nights: Nights) -> None:
    with pytest.raises(WarehouseAway):
        ticks.check_day(nights.load(0), DAY, WarehouseAway("no answer"))
    assert nights.store.rows == {}
