"""What a day of ticks is, and what is refused before anything is sent."""

import math
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from loaders.ticks.frame import TickError, checked, day_frame, key_of
from quotemill.ticks.columns import TICKS, window
from tests.ticks import KEY, day_of_ticks, quoted


def _with(day: pa.Table, name: str, row: int, value: object) -> pa.Table:
    values = day[name].to_pylist()
    values[row] = value
    return day.set_column(day.schema.get_field_index(name), name, pa.array(values))


def test_a_day_has_the_columns_and_types_of_the_schema() -> None:
    day = day_of_ticks(50)
    assert day.schema.equals(TICKS)
    assert key_of(day) == KEY
    assert checked(day).equals(day)


def test_ties_are_counted_from_zero_in_the_order_in_which_they_came() -> None:
    ticks = quoted(48)
    start = 1_763_082_000_000_000_000
    # a short array is sorted in order by every method
    stamps = [start + n for n in (1_000, 1_999, 2_000, 1_500, 2_000, 3_000, 2_500, 1_000)] * 6
    ticks = ticks.set_column(0, "datetime_ns", pa.array(stamps))
    day = day_frame(ticks, KEY, segment_id=1, schedule_hash="0")
    seen = Counter[int]()
    for micros, seq in zip(
        day["ts"].cast(pa.int64()).to_pylist(), day["seq"].to_pylist(), strict=True
    ):
        assert seq == seen[micros]
        seen[micros] += 1
    assert seen == {start // 1000 + n: times for n, times in ((1, 24), (2, 18), (3, 6))}


def test_what_is_not_a_number_is_missing() -> None:
    day = day_of_ticks(50)
    assert day["bid_price5"].null_count > 0
    assert not pc.any(pc.is_nan(day["bid_price5"])).as_py()
    assert checked(_with(day, "volume", 3, None))["volume"].null_count == 1
    floats = day.set_column(
        day.schema.get_field_index("volume"), "volume", day["volume"].cast(pa.float64())
    )
    assert checked(floats).equals(day)
    assert checked(_with(floats, "volume", 3, math.nan))["volume"].null_count == 1


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("ts", None, "row 3, ts: must not be missing"),
        ("seq", None, "row 3, seq: must not be missing"),
        ("underlying_contract", None, "row 3, underlying_contract: must not be missing"),
        ("trading_day", None, "row 3, trading_day: must not be missing"),
        ("volume", 10.5, "row 3, volume: must be a whole number"),
        ("seq", 0.5, "row 3, seq: must be a whole number"),
        ("seq", -1, "row 3, seq: must lie between"),
        ("seq", 2**31, "row 3, seq: must lie between"),
        ("volume", 10**18, "row 3, volume: must lie between"),
        ("amount", 1e300, "row 3, amount: must lie between"),
        ("last_price", math.inf, "row 3, last_price: must be a finite number"),
        ("underlying_contract", "SHFE.cu2602", "row 3, underlying_contract: must be SHFE.cu2601"),
        ("trading_day", date(2025, 11, 17), "row 3, trading_day: must be 2025-11-14"),
        ("symbol", "KQ.m@SHFE.al", "row 3, symbol: must be KQ.m@SHFE.cu"),
        ("segment_id", 9, "row 3, segment_id: must be the same in all rows"),
        ("schedule_hash", "9", "row 3, schedule_hash: must be the same in all rows"),
        ("datetime_ns", 5, "row 3, ts: must be datetime_ns cut to microseconds"),
        ("last_price", "dear", "row 3, last_price: must be double, is dear"),
    ],
)
def test_a_row_that_would_be_stored_wrong_is_named(name: str, value: object, rule: str) -> None:
    day = day_of_ticks(10)
    if isinstance(value, str) and name == "last_price":
        texts = ["1"] * 3 + [value] + ["1"] * 6
        broken = day.set_column(day.schema.get_field_index(name), name, pa.array(texts))
    else:
        broken = _with(day, name, 3, value)
    with pytest.raises(TickError) as raised:
        checked(broken)
    assert rule in str(raised.value)


def test_the_largest_numbers_are_stored() -> None:
    day = day_of_ticks(10)
    for name, most in (("seq", 2**31 - 1), ("volume", 9 * 10**14), ("volume", -9 * 10**14)):
        assert checked(_with(day, name, 3, most))[name][3].as_py() == most


def test_a_stamp_that_is_missing_or_has_lost_digits_is_refused() -> None:
    ticks = quoted(3)
    stamps = ticks["datetime_ns"].to_pylist()
    rounded = pa.array([float(stamp) for stamp in stamps])
    for column, rule in (
        (pa.array([*stamps[:2], None]), "row 2, datetime_ns: must not be missing"),
        (rounded, "row 0, datetime_ns: must be a whole number"),
    ):
        with pytest.raises(TickError, match=rule):
            day_frame(
                ticks.set_column(0, "datetime_ns", column), KEY, segment_id=1, schedule_hash="0"
            )


def test_two_rows_of_one_stamp_and_seq_are_refused() -> None:
    day = day_of_ticks(10)
    twice = pa.concat_tables([day, day.slice(4, 1)])
    with pytest.raises(TickError, match="row 10, seq: "):
        checked(twice)


def test_ticks_of_another_week_are_refused() -> None:
    with pytest.raises(TickError, match="row 0, ts: "):
        day_frame(
            quoted(5), KEY._replace(trading_day=date(2025, 12, 5)), segment_id=1, schedule_hash="0"
        )


@pytest.mark.parametrize(
    ("end", "later", "is_near"), [(0, 0, True), (0, -1, False), (1, -1, True), (1, 0, False)]
)
def test_ticks_lie_between_the_ends_of_their_window(end: int, later: int, is_near: bool) -> None:
    at = window(KEY.trading_day)[end] + timedelta(microseconds=later)
    micros = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    ticks = quoted(1).set_column(0, "datetime_ns", pa.array([micros * 1000]))
    if is_near:
        [stored] = day_frame(ticks, KEY, segment_id=1, schedule_hash="0")["ts"].to_pylist()
        assert stored == at
    else:
        with pytest.raises(TickError, match="row 0, ts: "):
            day_frame(ticks, KEY, segment_id=1, schedule_hash="0")


def test_an_empty_day_and_a_lacking_column_are_refused() -> None:
    with pytest.raises(TickError, match="no rows"):
        checked(TICKS.empty_table())
    with pytest.raises(TickError, match="amount"):
        checked(day_of_ticks(3).drop_columns(["amount"]))
