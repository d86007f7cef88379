"""Rows of `import quotemill` as people look at them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import pandas
import polars
import pyarrow as pa
import pytest

from quotemill.errors import UsageError
from quotemill.rows import Rows

DAYS = [date(2024, 6, day) for day in range(1, 31)]


@pytest.fixture
def rows() -> Rows:
    prices = pa.array([Decimal(985 + n).scaleb(-2) for n in range(30)], pa.decimal128(18, 2))
    return Rows(
        pa.table({"code": ["<b>"] + ["sh600000"] * 29, "trade_date": DAYS, "close": prices})
    )


def test_rows_show_the_first_ones(rows: Rows) -> None:
    lines = repr(rows).splitlines()
    assert lines[0] == "    code  trade_date  close"
    assert lines[2] == "sh600000  2024-06-02   9.86"
    assert lines[11:] == ["30 rows of code, trade_date, close"]
    header, count = repr(rows.head(0)).splitlines()
    assert (header, count[:7]) == ("code  trade_date  close", "0 rows ")
    page = rows._repr_html_()
    assert "<th>trade_date</th>" in page
    assert "<td>&lt;b&gt;</td><td>2024-06-01</td><td>9.85</td>" in page
    assert page.count("<tr>") == 11
    assert "<p>30 rows</p>" in page


def test_a_line_of_rows_fits_into_a_terminal() -> None:
    wide = Rows(pa.table({f"a_long_name_{n}": ["x" * 12] for n in range(20)}))
    lines = repr(wide).splitlines()[:-1]
    assert {len(line) for line in lines} == {len(lines[0])}
    assert 80 < len(lines[0]) <= 100
    assert lines[0].endswith("a_long_name_5  …")
    assert repr(Rows(pa.table({"x": ["y" * 300]}))).splitlines()[1] == "y" * 300


def test_decimals_are_shown_with_the_places_that_they_need() -> None:
    values = [Decimal("85950"), Decimal("-0.5"), Decimal("12345678901234567890.25"), None]
    table = pa.table(
        {
            "a": pa.array(values, pa.decimal128(38, 9)),
            "b": pa.array([Decimal(0), Decimal(1), None, None], pa.decimal128(38, 18)),
        }
    )
    lines = repr(Rows(table)).splitlines()
    assert [line.split() for line in lines[1:-1]] == [
        ["85950.00", "0"],
        ["-0.50", "1"],
        ["12345678901234567890.25"],
        [],
    ]


def test_rows_are_walked_and_their_head_is_rows(rows: Rows) -> None:
    first = {"code": "<b>", "trade_date": DAYS[0], "close": Decimal("9.85")}
    assert next(iter(rows)) == first
    assert [row["trade_date"] for row in rows] == DAYS
    assert (len(rows.head()), len(rows.head(7)), len(rows.head(99))) == (5, 7, 30)
    assert list(rows.head(1)) == [first]
    assert len(rows.head(-2)) == 28
    assert pandas.DataFrame(rows.head(2)).shape == (2, 3)
    assert polars.DataFrame(rows)["close"].dtype == polars.Decimal(18, 2)


def test_times_come_in_the_zone_of_an_exchange() -> None:
    moment = datetime(2024, 6, 3, 1, 31, tzinfo=UTC)
    rows = Rows(pa.table({"bar_end": [moment], "n": [1]}), is_exact=True)
    for zone, hour in (("Asia/Shanghai", 9), ("America/New_York", 21)):
        [there] = rows.to_zone(zone)
        assert (there["bar_end"], there["bar_end"].hour) == (moment, hour)
        assert rows.to_zone(zone).to_pandas()["bar_end"].dt.hour.tolist() == [hour]
    assert rows.to_zone().schema.field("bar_end").type.tz == "Asia/Shanghai"
    for unknown in ("Asia/Nowhere", 8):
        with pytest.raises(UsageError, match=str(unknown)) as refused:
            rows.to_zone(cast(Any, unknown))
        assert "Asia/Shanghai" in refused.value.hint


@pytest.mark.parametrize("scale", [0, 3, 9, 18])
def test_doubles_are_the_nearest_ones(scale: int) -> None:
    wholes = [*range(1, 20_000, 7), 2**53 + 1, 10**17 + 3, -5, 0]
    values = [*(Decimal(whole).scaleb(-scale) for whole in wholes), None]
    for some in (values, values[:-6], []):
        table = pa.table({"price": pa.array(some, pa.decimal128(38, scale))})
        floats = [None if value is None else float(value) for value in some]
        made = Rows(table).to_pandas()["price"]
        assert made.dtype == "float64"
        assert [None if value != value else value for value in made] == floats
