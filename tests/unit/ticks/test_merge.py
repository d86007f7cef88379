"""Rows of several days in one order of time."""

import pyarrow as pa
import pytest

from loaders.ticks.questdb.day_writer import merge_by_time
from loaders.ticks.store import split_days


def rows(source: str, *stamps: int) -> pa.Table:
    ts = pa.array(stamps, pa.timestamp("us", "UTC"))
    return pa.table({"ts": ts, "source": [source] * len(stamps), "n": range(len(stamps))})


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_rows_come_by_time_and_equal_stamps_in_their_order(size: int) -> None:
    tables = [rows("a", 1, 5, 5, 9), rows("b", 7, 2, 5, 5), rows("c"), rows("d", 30)]
    parts = list(merge_by_time(tables, size))
    merged = pa.concat_tables(parts)
    stamps = merged["ts"].cast(pa.int64()).to_pylist()
    assert stamps == sorted(stamps) == [1, 2, 5, 5, 5, 5, 7, 9, 30]
    order = list(zip(merged["source"].to_pylist(), merged["n"].to_pylist(), strict=True))
    assert order[2:6] == [("a", 1), ("a", 2), ("b", 2), ("b", 3)]
    assert len(parts) == {1: 6, 2: 4, 3: 3, 100: 1}[size]


def test_days_are_batched_by_rows_and_never_cut() -> None:
    days = [rows("a", *range(count)) for count in (3, 2, 9, 1, 1, 4)]
    batches = [
        [day.num_rows for day in batch] for batch in split_days(days, 5, lambda day: day.num_rows)
    ]
    assert batches == [[3, 2], [9], [1, 1], [4]]
