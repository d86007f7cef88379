"""Minutes made of stored ticks: which days are due, and what a revision does to them."""

import re
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from loaders.engine.load import Load
from loaders.engine.result import LoadResult
from loaders.ticks.questdb.store import QuestdbStore
from loaders.tq.datasets import tick_minute
from loaders.tq.next_steps import list_next_steps
from loaders.tq.tick_days import plan
from loaders.warehouse.postgres import open_warehouse
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError
from tests.integration.tq.bench import Bench
from tests.integration.tq.worlds import DAYS, END, FIRST, INDEX, NEW, SERIES

MINUTES = (
    "select contract, trading_day, start_at, session_start, open, high, low, close, volume, "
    "amount, close_oi, tick_count from raw_tq.tick_minute order by 1, 2, 3"
)
PER_DAY = 465  # copper: until 01:00, and 225 minutes by day


def made_days(result: LoadResult) -> int:
    return sum(task.done for task in result.tasks if task.dataset == "tick_minute")


def test_a_load_of_ticks_makes_their_minutes(made: Bench) -> None:
    rows = made.rows(MINUTES)
    assert len(rows) == DAYS * PER_DAY
    assert made.rows("select minute_count, count(*) from raw_tq.tick_minute_day group by 1") == [
        (PER_DAY, DAYS)
    ]
    # the minutes of a day have its lots, its extremes and its last price, as its day bar does
    differing = """
        select d.trade_date
        from raw_tq.contract_daily as d
        inner join (
            select
                contract, trading_day, max(high) as high, min(low) as low,
                (array_agg(close order by start_at desc))[1] as close,
                sum(volume) as volume, (array_agg(close_oi order by start_at desc))[1] as close_oi
            from raw_tq.tick_minute
            group by 1, 2
        ) as m on d.contract = m.contract and d.trade_date = m.trading_day
        where
            (d.high, d.low, d.close, d.volume, d.close_oi)
            is distinct from (m.high, m.low, m.close, m.volume, m.close_oi)
    """
    assert made.rows(differing) == []
    turnover = (
        "select sum(m.amount) from raw_tq.tick_minute as m where m.trading_day = '2025-10-22'"
    )
    last = made.sandbox.tick_table(NEW, END)["amount"].to_pylist()[-1]
    assert [float(total) for (total,) in made.rows(turnover)] == [last]
    made.asked()
    assert made.load("ticks").tasks == ()


def test_days_stored_before_get_minutes_without_a_question(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.rows(MINUTES)
    made.execute("truncate raw_tq.tick_minute, raw_tq.tick_minute_day")
    monkeypatch.setattr(tick_minute, "MOST_DAYS", 3)
    made.asked()
    assert made_days(made.load("ticks")) == 6  # three for the ticks' sake, and three after them
    [left] = list_next_steps(made.settings, open_warehouse(made.settings))
    assert left.startswith("1 day ")
    assert "--dataset tick_minute" in left
    newest = made.rows("select min(trading_day) from raw_tq.tick_minute_day")
    assert newest > [(FIRST,)]
    made.execute("truncate raw_tq.tick_minute, raw_tq.tick_minute_day")
    result = made.load("ticks", datasets=("tick_minute",))
    assert (result.status, made_days(result)) == ("succeeded", DAYS)
    assert made.asked() == []
    assert made.rows(MINUTES) == before
    assert list_next_steps(made.settings, open_warehouse(made.settings)) == []


def test_a_shorter_revision_replaces_the_minutes_of_its_day_alone(made: Bench) -> None:
    before = made.rows(MINUTES)
    bars = "update raw_tq.contract_daily set volume = volume / 4 where contract = '{}'"
    made.execute(bars.format(NEW))
    made.sandbox.faults.add(f"short:contract={NEW}:day={END}:keep=60")
    result = made.load(
        "ticks", options={"date": END.isoformat()}, accept_loss=True, datasets=("ticks",)
    )
    assert result.status == "succeeded", result
    assert made.rows(MINUTES) == before  # ticks alone were asked for
    result = made.load("ticks")
    assert made_days(result) == 1
    after = made.rows(MINUTES)

    def of(rows: list[tuple[Any, ...]], day: date) -> list[tuple[Any, ...]]:
        return [row for row in rows if row[1] == day]

    assert [row for row in after if row[1] != END] == [row for row in before if row[1] != END]
    assert sum(row[-1] for row in of(after, END)) == 60
    assert 0 < len(of(after, END)) < len(of(before, END))
    lots = made.sandbox.tick_table(NEW, END)["volume"].to_pylist()[59]
    assert sum(row[8] for row in of(after, END)) == lots
    hashes = (
        "select m.row_hash = d.row_hash from raw_tq.tick_minute_day as m "
        "inner join raw_tq.symbol_day as d using (contract, trading_day) "
        f"where d.symbol = '{SERIES}'"
    )
    assert made.rows(hashes) == [(True,)] * DAYS


def test_a_price_that_no_table_can_hold_makes_no_minutes_and_claims_none(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.rows(MINUTES)
    made.execute("truncate raw_tq.tick_minute, raw_tq.tick_minute_day")
    read = QuestdbStore.read_day

    def read_huge(store: QuestdbStore, key: DayKey, *args: Any, **kwargs: Any) -> Any:
        ticks = read(store, key, *args, **kwargs)
        at = ticks.schema.get_field_index("last_price")
        huge = pa.array([3e12] * ticks.num_rows, pa.float64())
        return ticks.set_column(at, "last_price", huge) if key.trading_day == END else ticks

    with monkeypatch.context() as patch:
        patch.setattr(QuestdbStore, "read_day", read_huge)
        result = made.load("ticks")
    assert (result.status, made_days(result)) == ("succeeded", DAYS - 1)
    assert "its ticks cannot be turned into minute bars: open" in str(result.warnings)
    assert made.rows(MINUTES) == [row for row in before if row[1] != END]
    counts = "select trading_day from raw_tq.tick_minute_day where minute_count = 0"
    assert made.rows(counts) == [(END,)]
    # its ticks are the same, and so would be each further warning
    assert list_next_steps(made.settings, open_warehouse(made.settings)) == []
    assert made.load("ticks").tasks == ()
    assert made_days(made.load("ticks", datasets=("tick_minute",))) == 1
    assert made.rows(MINUTES) == before


@pytest.mark.long
def test_a_backfill_makes_minutes_as_it_goes_on_and_ends_with_all(
    mapped: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick_minute, "MOST_DAYS", 0)
    monkeypatch.setattr(plan, "TASK_KEYS", 2)
    stored: list[int] = []  # days of ticks that had landed when each day's minutes were made
    make = tick_minute.make_minutes

    def count_and_make(*given: Any) -> pa.Table:
        stored.append(mapped.rows("select count(*) from raw_tq.symbol_day")[0][0])
        return make(*given)

    monkeypatch.setattr(tick_minute, "make_minutes", count_and_make)
    result = mapped.load("ticks")
    assert (result.status, made_days(result)) == ("succeeded", DAYS)
    assert stored == [min(n - n % 2 + 2, DAYS) for n in range(DAYS)]
    assert len(mapped.rows(MINUTES)) == DAYS * PER_DAY
    assert mapped.load("ticks").tasks == ()


def test_a_stop_ends_the_making_of_minutes_with_the_day_it_is_at(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.execute("truncate raw_tq.tick_minute, raw_tq.tick_minute_day")
    loads: list[Load] = []
    make = tick_minute.make_minutes

    def stop(*given: Any) -> pa.Table:
        loads[0].interrupt()
        return make(*given)

    with monkeypatch.context() as patch:
        patch.setattr(tick_minute, "make_minutes", stop)
        made.load("ticks", datasets=("tick_minute",), on_start=loads.append)
    assert made.rows("select count(*) from raw_tq.tick_minute_day") == [(1,)]
    assert made_days(made.load("ticks", datasets=("tick_minute",))) == DAYS - 1


@pytest.mark.long
def test_a_store_that_goes_away_before_the_minutes_costs_no_ticks(
    mapped: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> pa.Table:
        raise StoreError("the tick store cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(QuestdbStore, "read_day", refuse)
        result = mapped.load("ticks")
    assert (result.status, result.exit_code, len(mapped.rows(INDEX))) == ("partial", 4, DAYS)
    assert "cannot be reached" in str(result.error)
    mapped.asked()
    result = mapped.load("ticks")
    assert (result.status, made_days(result), mapped.asked()) == ("succeeded", DAYS, [])


@pytest.mark.long
def test_days_wait_for_the_hours_of_their_variety(made: Bench) -> None:
    before = made.rows(MINUTES)
    made.execute("truncate raw_tq.tick_minute, raw_tq.tick_minute_day, raw_tq.trading_session")
    result = made.load("ticks", datasets=("tick_minute",))
    assert (result.status, made_days(result), made.rows(MINUTES)) == ("succeeded", 0, [])
    assert re.search("hours .* SHFE.cu ", str(result.warnings))
    assert made.load().status == "succeeded"
    assert made_days(made.load("ticks")) == DAYS
    assert made.rows(MINUTES) == before


def test_days_of_a_variety_that_left_the_schedule_are_left_as_they_are(made: Bench) -> None:
    made.execute("truncate raw_tq.tick_minute, raw_tq.tick_minute_day")
    made.execute(
        "update raw_tq.symbol_day set symbol = 'KQ.m@SHFE.au' where trading_day = '2025-10-22'"
    )
    settings = made.settings.tq.model_copy(update={"varieties": ["SHFE.cu", "SHFE.au"]})
    made.settings = made.settings.model_copy(update={"tq": settings})
    result = made.load("ticks", datasets=("tick_minute",))
    assert (result.status, made_days(result), result.total("skipped")) == ("succeeded", DAYS, 1)


def test_the_cross_check_has_the_vendors_minutes_of_the_newest_day(made: Bench) -> None:
    result = made.load("cross-check", datasets=("contract_minute",))
    assert (result.status, result.warnings) == ("succeeded", ())
    names = "contract, trading_day, start_at, open, high, low, close, volume, close_oi"
    vendors = made.rows(f"select {names} from raw_tq.contract_minute order by 1, 2, 3")
    own = made.rows(f"select {names} from raw_tq.tick_minute order by 1, 2, 3")
    assert {row[:2] for row in vendors} == {(NEW, END)}
    # before the first trade the vendor has a price
    traded = [row for row in own if row[:2] == (NEW, END) and row[3] is not None]
    assert vendors[-len(traded) :] == traded
    assert len(vendors) == PER_DAY
