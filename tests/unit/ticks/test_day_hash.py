"""The hash of a day tells every change of what was quoted, and nothing else."""

import pyarrow as pa
import pytest

from loaders.ticks.day_hash import AT_ONCE, COEFFICIENTS, HASHED, P, measure_days, measured
from tests.ticks import KEY, day_of_ticks


def _with(day: pa.Table, name: str, values: list[object]) -> pa.Table:
    index = day.schema.get_field_index(name)
    return day.set_column(index, day.schema.field(index), pa.array(values, day.schema.types[index]))


def _hashes(day: pa.Table) -> tuple[int, int]:
    seen = measured(day)
    return seen.hash_a, seen.hash_b


def test_columns_and_coefficients_are_the_version() -> None:
    assert len(HASHED) == 28
    assert HASHED[:8] == (
        "datetime_ns",
        "last_price",
        "highest",
        "lowest",
        "average",
        "volume",
        "amount",
        "open_interest",
    )
    assert HASHED[8:12] == ("bid_price1", "bid_volume1", "ask_price1", "ask_volume1")
    assert COEFFICIENTS[:3] == [1251303721, 1819960974, 1773294576]
    assert all(0 < c < P for c in COEFFICIENTS)


def test_the_order_of_rows_does_not_matter() -> None:
    day = day_of_ticks(200)
    turned = day.take(pa.array(range(199, -1, -1)))
    assert _hashes(turned) == _hashes(day)


def test_a_schedule_does_not_matter() -> None:
    assert _hashes(day_of_ticks(50, segment=1)) == _hashes(day_of_ticks(50, segment=9))


@pytest.mark.parametrize("change", ["swap", "unit", "null", "null volume", "drop", "twice"])
def test_any_change_of_a_quote_changes_the_hash(change: str) -> None:
    day = day_of_ticks(200)
    prices, volumes = day["last_price"].to_pylist(), day["volume"].to_pylist()
    if change == "swap":
        highs = day["highest"].to_pylist()
        highs[3], highs[90] = highs[90], highs[3]
        assert highs[3] != highs[90]
        other = _with(day, "highest", highs)
    elif change == "unit":
        other = _with(day, "last_price", [prices[0] + 0.0001, *prices[1:]])
    elif change == "null":
        other = _with(day, "last_price", [None, *prices[1:]])
    elif change == "null volume":
        other = _with(day, "volume", [None, *volumes[1:]])
    elif change == "drop":
        other = day.slice(1)
    else:
        other = pa.concat_tables([day, day.slice(0, 1)])
    assert _hashes(other) != _hashes(day)


def test_a_day_is_measured() -> None:
    day = day_of_ticks(100, levels=1)
    seen = measured(day)
    assert (seen.rows, seen.book_levels) == (100, 1)
    assert seen.first_ts is not None
    assert seen.first_ts.date() < KEY.trading_day
    assert seen.row_hash == f"{seen.hash_a % 2**31:08x}{seen.hash_b % 2**31:08x}"
    for side, level in (("bid", 3), ("ask", 4)):  # one price of one side makes a level
        deep = _with(day, f"{side}_price{level}", [80_000.0, *[None] * 99])
        assert measured(deep).book_levels == level
    nothing = measured(day.slice(0, 0))
    assert (nothing.rows, nothing.first_ts, nothing.row_hash) == (0, None, "0" * 16)


def test_days_measured_together_are_as_if_measured_singly() -> None:
    sizes = (30, 1, 0, AT_ONCE + 1, 20, 7)
    days = [day_of_ticks(rows or 1, seed=n).slice(0, rows) for n, rows in enumerate(sizes)]
    days[4] = day_of_ticks(20, levels=2)
    assert measure_days(days) == [measured(day) for day in days]
    assert [seen.rows for seen in measure_days(days)] == [*sizes]
    assert [seen.book_levels for seen in measure_days(days)[2:5]] == [0, 5, 2]
    assert measure_days([]) == []
