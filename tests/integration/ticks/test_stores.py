"""What every tick store guarantees."""

from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from loaders.ticks.day_hash import measured
from loaders.ticks.frame import day_frame
from loaders.ticks.questdb import ranges
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.store import (
    SCHEDULE,
    IndexRow,
    Measured,
    NoDataRow,
    Stamp,
    StoreSummary,
)
from quotemill.ticks.columns import BOOK, QUOTED, DayKey
from quotemill.ticks.questdb_http import StoreError
from tests.conftest import ROOT
from tests.requirements import require
from tests.ticks import KEY, day_of_ticks, write_day

NOTHING = Measured(0, None, None, 0, 0, "0" * 16, 0)
MONDAY = DayKey(KEY.symbol, KEY.contract, date(2025, 11, 17))


def _sorted(day: pa.Table) -> pa.Table:
    return day.sort_by([("ts", "ascending"), ("seq", "ascending")]).combine_chunks()


def test_a_day_reads_back_as_it_was_written(store: QuestdbStore) -> None:
    day = day_of_ticks(3000)
    assert pc.max(day["seq"]).as_py() >= 1, "the day has ties"
    assert day["ask_price5"].null_count, "and prices that are not there"
    seen = write_day(store, day)
    assert seen == measured(day)
    assert seen.rows == 3000
    assert seen.book_levels == 5
    assert store.measure(*KEY) == seen
    assert store.read_day(KEY).equals(_sorted(day))
    some = ["datetime_ns", "volume"]
    assert store.read_day(KEY, some).equals(_sorted(day).select(some))
    assert seen.first_ts is not None
    assert seen.last_ts is not None
    assert store.read_day(KEY, span=(seen.first_ts, seen.last_ts)).equals(_sorted(day))
    last = store.read_day(KEY, span=(seen.last_ts, seen.last_ts))
    assert pc.unique(last["ts"]).to_pylist() == [seen.last_ts]


@pytest.mark.parametrize("depth", ["one level", "no volumes", "some of each"])
def test_levels_that_are_not_given_are_in_the_hash(store: QuestdbStore, depth: str) -> None:
    day = day_of_ticks(300, levels=1)
    for name in (name for name in BOOK if "volume" in name and not name.endswith("1")):
        nulls = pa.array([None if n % 2 or depth == "no volumes" else 0 for n in range(300)])
        if depth != "one level":
            day = day.set_column(day.schema.get_field_index(name), name, nulls.cast(pa.int64()))
    if depth == "some of each":
        prices = pa.array([None if n % 3 else 80_000.5 for n in range(300)], pa.float64())
        day = day.set_column(day.schema.get_field_index("ask_price5"), "ask_price5", prices)
    assert write_day(store, day) == store.measure(*KEY) == measured(day)


def test_an_unwritten_day_measures_as_nothing(store: QuestdbStore) -> None:
    assert store.summary() == StoreSummary(0, 0, 0, None)
    assert store.measure(*KEY) == NOTHING
    assert store.read_day(KEY).num_rows == 0


def test_writing_again_changes_nothing(store: QuestdbStore) -> None:
    day = day_of_ticks(500)
    assert write_day(store, day) == write_day(store, day)
    assert store.read_day(KEY).equals(_sorted(day))


def test_a_shorter_day_leaves_no_tick_of_the_longer_one(store: QuestdbStore) -> None:
    long, short = day_of_ticks(500), day_of_ticks(500).slice(0, 320)
    write_day(store, long)
    assert write_day(store, short) == measured(short)
    assert store.read_day(KEY).equals(_sorted(short))
    # and a row that had gone comes back
    assert write_day(store, long) == measured(long)
    assert store.read_day(KEY).equals(_sorted(long))


def test_changed_rows_are_replaced(store: QuestdbStore) -> None:
    write_day(store, day_of_ticks(500, seed=1))
    other = day_of_ticks(500, seed=2)
    assert write_day(store, other) == measured(other)
    assert store.read_day(KEY).equals(_sorted(other))


def test_a_day_whose_contract_changes_is_not_mixed(store: QuestdbStore) -> None:
    old, new = day_of_ticks(400), KEY._replace(contract="SHFE.cu2602")
    write_day(store, old)
    write_day(store, day_of_ticks(200, MONDAY))
    fresh = day_of_ticks(300, new, seed=3)
    assert write_day(store, fresh) == measured(fresh)
    assert store.measure(*new) == measured(fresh)
    assert store.measure(*KEY) == NOTHING
    assert store.measure(*MONDAY).rows == 200, "the other day keeps its contract"
    # the mapping is revised back
    assert write_day(store, old) == measured(old)
    assert store.measure(*new) == NOTHING


def test_days_and_series_do_not_touch_each_other(store: QuestdbStore) -> None:
    zinc = DayKey("KQ.m@SHFE.zn", "SHFE.zn2601", KEY.trading_day)
    days = [day_of_ticks(100, key, seed=n) for n, key in enumerate((KEY, MONDAY, zinc))]
    for day in days:
        write_day(store, day)
    for key, day in zip((KEY, MONDAY, zinc), days, strict=True):
        assert store.measure(*key) == measured(day)


def test_days_that_are_written_together_are_as_if_written_singly(store: QuestdbStore) -> None:
    zinc = DayKey("KQ.m@SHFE.zn", "SHFE.zn2601", KEY.trading_day)
    old_zinc = zinc._replace(contract="SHFE.zn2512")
    write_day(store, day_of_ticks(300, seed=8))
    write_day(store, day_of_ticks(250, old_zinc, seed=9))
    days = [day_of_ticks(200, KEY), day_of_ticks(400, zinc, seed=2), day_of_ticks(90, MONDAY)]
    assert store.write_days(days) == list(map(measured, days))
    for key, day in zip((KEY, zinc, MONDAY), days, strict=True):
        assert store.read_day(key).equals(_sorted(day))
    assert store.measure(*old_zinc) == NOTHING


def test_a_day_that_the_store_refuses_costs_no_other(store: QuestdbStore) -> None:
    bad = KEY._replace(symbol="KQ.m@SHFE.zn", trading_day=date(1960, 1, 5))
    days = [day_of_ticks(100, KEY), day_of_ticks(50, bad), day_of_ticks(90, MONDAY)]
    first, refused, last = store.write_days(days)
    assert [first, last] == [measured(days[0]), measured(days[2])]
    assert isinstance(refused, StoreError)
    assert f"{bad.contract} {bad.trading_day}" in str(refused)
    assert [store.measure(*key).rows for key in (KEY, MONDAY)] == [100, 90]
    with pytest.raises(StoreError):
        write_day(store, days[1])


def test_a_friday_night_belongs_to_monday(store: QuestdbStore) -> None:
    ticks = day_of_ticks(10).select(["datetime_ns", *(name for name, _ in QUOTED)])
    start = int(datetime(2025, 11, 14, 13, tzinfo=UTC).timestamp()) * 10**9
    ticks = ticks.set_column(0, "datetime_ns", pa.array([start + n for n in range(10)]))
    night = day_frame(ticks, MONDAY, segment_id=1, schedule_hash="0")
    friday = day_of_ticks(50)
    write_day(store, friday)
    assert write_day(store, night).rows == 10
    assert store.measure(*KEY) == measured(friday)


def test_a_restamped_day_keeps_its_hash(store: QuestdbStore) -> None:
    day, monday = day_of_ticks(300), day_of_ticks(200, MONDAY)
    seen = [write_day(store, d) for d in (day, monday)]
    store.put_index([indexed(KEY, seen[0]), indexed(MONDAY, seen[1])])
    store.restamp(KEY.symbol, KEY.contract, [Stamp(KEY.trading_day, 7, "f" * 16)])
    assert store.measure(*KEY) == seen[0]
    read = store.read_day(KEY)
    assert pc.unique(read["segment_id"]).to_pylist() == [7]
    assert pc.unique(read["schedule_hash"]).to_pylist() == ["f" * 16]
    assert pc.unique(store.read_day(MONDAY)["segment_id"]).to_pylist() == [1]
    stamps = {r.trading_day: (r.segment_id, r.schedule_hash, r.row_hash) for r in store.index()}
    assert stamps[KEY.trading_day] == (7, "f" * 16, seen[0].row_hash)
    assert stamps[MONDAY.trading_day][:2] == (1, f"{1:016x}")


def test_a_superseded_day_is_invisible(store: QuestdbStore) -> None:
    seen = write_day(store, day_of_ticks(300))
    store.put_index([indexed(KEY, seen)])
    assert store.supersede(*KEY) == 300
    assert store.measure(*KEY) == NOTHING
    assert [row.status for row in store.index()] == ["superseded"]
    assert store.supersede(*KEY) == 0
    # it comes back
    assert write_day(store, day_of_ticks(300)) == seen


def test_all_days_are_measured_in_ranges(
    store: QuestdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "ROWS", 1)  # a day of UTC is a range
    assert [*chain(*store.measure_all())] == []
    new_year = MONDAY._replace(trading_day=date(2026, 1, 5))
    days = {key: day_of_ticks(rows, key) for key, rows in ((KEY, 300), (new_year, 100))}
    days[MONDAY] = day_of_ticks(300, MONDAY, levels=1)
    for day in days.values():
        write_day(store, day)
    store.restamp(*MONDAY[:2], [Stamp(MONDAY.trading_day, 7, "f" * 16)])
    gone = MONDAY._replace(symbol="KQ.m@SHFE.zn")
    write_day(store, day_of_ticks(50, gone))
    store.supersede(*gone)
    parts = [*chain(*store.measure_all())]
    assert {part.key for part in parts} == days.keys()
    for key, day in days.items():
        seen, own = measured(day), [part for part in parts if part.key == key]
        stamp = (7, "f" * 16) if key == MONDAY else (1, f"{1:016x}")
        assert {(part.segment_id, part.schedule_hash) for part in own} == {stamp}
        assert sum(part.rows for part in own) == seen.rows
        assert sum(part.hash_a for part in own) == seen.hash_a
        assert min(part.first_ts for part in own) == seen.first_ts
        assert max(part.last_ts for part in own) == seen.last_ts


def test_the_index_keeps_one_row_a_day(store: QuestdbStore) -> None:
    first = indexed(KEY, measured(day_of_ticks(10)))
    other = indexed(MONDAY, measured(day_of_ticks(20, MONDAY)))
    store.put_index([other, first])
    assert store.index() == [first, other]
    changed = indexed(KEY, measured(day_of_ticks(30)))
    store.put_index([changed])
    assert store.index() == [changed, other]
    assert store.summary() == StoreSummary(1, 2, 50, MONDAY.trading_day)
    store.supersede(*MONDAY)
    assert store.summary() == StoreSummary(1, 1, 30, KEY.trading_day)


def test_days_without_data_keep_their_reason(store: QuestdbStore) -> None:
    moment = datetime(2025, 11, 20, 1, 2, 3, 456789, tzinfo=UTC)
    row = NoDataRow(*KEY, "it's empty; 没有", 2, moment)
    store.put_no_data([row])
    assert store.no_data() == [row]
    later = NoDataRow(*KEY, "still", 3, moment, "missing")
    store.put_no_data([later])
    assert store.no_data() == [later]
    store.put_no_data([])
    assert store.no_data() == [later]


def test_the_schedule_is_the_last_built_one(store: QuestdbStore) -> None:
    first = _schedule([("SHFE.cu2601", 14), ("SHFE.cu2601", 17), ("SHFE.cu2602", 18)])
    store.put_schedule(first)
    assert store.schedule(KEY.symbol).equals(first)
    # one day is gone, one is another, one is new
    second = _schedule([("SHFE.cu2601", 14), ("SHFE.cu2602", 17), ("SHFE.cu2602", 19)])
    store.put_schedule(second)
    assert store.schedule(KEY.symbol).equals(second)
    store.put_schedule(first)
    assert store.schedule(KEY.symbol).equals(first)
    assert store.schedule("KQ.m@SHFE.zn").num_rows == 0


def test_preparing_again_keeps_stored_ticks(store: QuestdbStore) -> None:
    seen = write_day(store, day_of_ticks(50))
    store.prepare()
    assert store.measure(*KEY) == seen
    assert store.check() == []


def test_recorded_ticks_come_back_identically(store: QuestdbStore) -> None:
    """The last trading hour of a contract, as an exchange sent it."""
    file = ROOT.parent / "shared" / "data" / "tq" / "ticks_SHFE.cu1909.parquet"
    require("shared", file.is_file(), f"recorded ticks are not at {file}")
    recorded = pq.read_table(file)
    quoted = recorded.rename_columns(
        ["datetime_ns" if name == "datetime" else name for name in recorded.column_names]
    )
    key = DayKey("KQ.m@SHFE.cu", "SHFE.cu1909", date(2019, 9, 16))
    day = day_frame(quoted, key, segment_id=3, schedule_hash="0123456789abcdef")
    seen = write_day(store, day)
    assert (seen.rows, seen.book_levels) == (200, 5)
    assert seen.first_ts == datetime(2019, 9, 16, 6, 1, 33, tzinfo=UTC)
    read = store.read_day(key)
    for name in ("datetime_ns", *(name for name, _ in QUOTED)):
        assert read[name].combine_chunks().equals(quoted[name].combine_chunks()), name


def indexed(key: DayKey, seen: Measured) -> IndexRow:
    assert seen.first_ts is not None
    assert seen.last_ts is not None
    return IndexRow(
        symbol=key.symbol,
        contract=key.contract,
        trading_day=key.trading_day,
        segment_id=1,
        schedule_hash=f"{1:016x}",
        rows=seen.rows,
        first_ts=seen.first_ts,
        last_ts=seen.last_ts,
        hash_a=seen.hash_a,
        hash_b=seen.hash_b,
        row_hash=seen.row_hash,
        book_levels=seen.book_levels,
        volume=900,
        day_volume=None,
        status="complete",
        run_id="run-1",
        updated_at=datetime(2025, 11, 20, 1, 2, 3, 456789, tzinfo=UTC),
    )


def _schedule(days: list[tuple[str, int]]) -> pa.Table:
    rows = [
        {
            "variety": "SHFE.cu",
            "symbol": KEY.symbol,
            "trading_day": date(2025, 11, day),
            "underlying_contract": contract,
            "segment_id": 1 + (contract != "SHFE.cu2601"),
            "prev_contract": None if contract == "SHFE.cu2601" else "SHFE.cu2601",
            "is_switch": contract != "SHFE.cu2601",
            "schedule_hash": f"{len(contract):016x}",
            "source": "backtest",
        }
        for contract, day in days
    ]
    return pa.Table.from_pylist(rows, schema=SCHEDULE)


@pytest.fixture(autouse=True)
def _no_left_over_stage_file(request: pytest.FixtureRequest) -> object:
    yield
    if "questdb_folder" in request.fixturenames:
        folder: Path = request.getfixturevalue("questdb_folder")
        assert not list((folder / "import").glob("quotemill-*"))
