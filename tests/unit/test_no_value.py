"""One rule says what stands for a number that there is not."""

import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from loaders.ib.client import clean
from loaders.landing.no_value import is_unset
from loaders.tdx.files.actions_csv import REQUIRED, read_actions
from loaders.tq.client.program import bars, instruments, mains, quotes
from loaders.tq.tick_days.conversion import sift_ticks
from loaders.tq.tick_days.minute_bars import make_minutes
from tests.unit.tq.test_conversion import END, KEY, START, answer
from tests.unit.tq.test_minute_bars import MORNING, shown
from tests.unit.tq.test_minute_bars import ticks as day_of

NOWHERE = [float("nan"), sys.float_info.max, -sys.float_info.max]
NO_TEXT = ["", "-", "--", " - ", "NaN"]
NO_SIZE = [2**31 - 1, 2**63 - 1, float(2**31 - 1), float(2**63 - 1)]


@pytest.mark.parametrize("value", [*NOWHERE, *NO_SIZE])
def test_each_spelling_of_nothing_is_no_size_in_any_source(value: float) -> None:
    assert is_unset(value, is_size=True)
    assert is_unset(np.array([1.0, value]), is_size=True).tolist() == [False, True]
    assert clean.count(value) is None
    assert quotes.number(value, is_price=False) is None
    assert sift_ticks(answer(bid_volume1=[float(value), 2, 3, 4]), KEY, START, END).ticks[
        "bid_volume1"
    ].to_pylist() == [None, 2, 3, 4]


@pytest.mark.parametrize("value", [*NOWHERE, 0, 0.0])
def test_each_spelling_of_nothing_is_no_price_of_a_trade(value: float) -> None:
    assert clean.traded_price(value) is None
    assert quotes.number(value, is_price=True) is None
    for name in ("last_price", "highest", "lowest", "average"):
        sifted = sift_ticks(answer(**{name: [value, 2, 3, 4]}), KEY, START, END)
        assert (sifted.refused, sifted.ticks[name].to_pylist()) == (0, [None, 2, 3, 4])


@pytest.mark.parametrize("value", [None, *NO_TEXT])
def test_each_text_of_nothing_is_no_number_in_any_source(value: Any) -> None:
    assert is_unset(value)
    assert clean.traded_price(value) is clean.count(value) is None
    assert quotes.number(value, is_price=False) is quotes.number(value, is_price=True) is None
    assert mains._own(value, date(2025, 6, 2)) is None
    known = dict.fromkeys(("price_tick", "volume_multiple", "delivery_year"), 1)
    assert not instruments._has_numbers(known | {"delivery_month": value})


@pytest.mark.parametrize("text", NO_TEXT)
def test_each_text_of_nothing_is_an_empty_cell_of_a_csv_file(text: str, tmp_path: Path) -> None:
    lines = (
        ",".join((*REQUIRED, "split_ratio", "category", "adjusts_price")),
        f"sh600000,2025-06-02,1,0,0,0,{text},{text},{text}",
        f"sh600000,2025-06-03,{text},0,0,0,,,",
    )
    (tmp_path / "actions.csv").write_text("\n".join(lines))
    read = read_actions(tmp_path / "actions.csv", ["sh600000"])
    assert [(row.ex_date.day, row.split_ratio, row.category) for row in read.rows] == [(2, None, 1)]
    assert [refused.field for refused in read.rejected] == ["cash_per10_yuan"]


def test_a_bar_of_a_day_without_a_trade_has_no_price(tmp_path: Path) -> None:
    row = dict.fromkeys(bars.NUMBERS, 0.0) | {"high": sys.float_info.max, "open_oi": 2.0**63}
    path = tmp_path / "bars.parquet"
    bars._write(str(path), [row | {"contract": "SHFE.cu2501", "trade_date": "2025-06-02"}])
    [written] = parquet.read_table(path).to_pylist()
    assert [written[name] for name in bars.NUMBERS] == [None, None, None, None, 0, None, 0]


def test_a_level_of_the_book_at_0_is_a_price_only_with_a_size() -> None:
    given = answer(ask_price1=[0, 0, 3, 0], ask_volume1=[0, 5, 3, None])
    assert sift_ticks(given, KEY, START, END).ticks["ask_price1"].to_pylist() == [None, 0, 3, None]


def test_numbers_that_are_there_stay() -> None:
    for value in (0, -1, 1e13, 2**31, 2**31 - 2, "0", "x"):
        assert not is_unset(value, is_size=True)
    assert not is_unset(float(2**31 - 1))
    assert quotes.number(0, is_price=False) == "0"


def test_a_last_price_of_0_is_no_low_of_a_minute() -> None:
    ticks = day_of(("9:00:10", 100, 1), ("9:00:20", 0, 2), ("9:00:30", 101, 3))
    assert shown(make_minutes(ticks, MORNING[:1]))[0] == ("09:00", 100, 101, 100, 101, 3)
