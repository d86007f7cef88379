"""What a landed table cannot hold is refused row by row, and the rest is cast to its schema."""

import functools
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.landing.rejects import Rejected, shown, withdraw_settled, withdrawn
from loaders.landing.screening import Screened, limits, screen
from loaders.sources import landed_tables
from loaders.tdx.tables import TICK_TRADE
from loaders.warehouse.tables import LandedTable, landed_table

THING = landed_table(
    "raw_x",
    "thing",
    [
        *((name, pa.string()) for name in ("name", "maker", "grade", "note")),
        ("day", pa.date32()),
        ("count", pa.int32()),
        ("size", pa.int64()),
        ("price", pa.decimal128(10, 4)),
        ("rate", pa.float64()),
        ("at", pa.timestamp("us", tz="UTC")),
    ],
    key=("name", "day"),
    nullable=("rate", "at"),
    indexes=(("maker", "day"),),
    most={"size": 1000, "grade": 3},
)
NOON = datetime(2024, 6, 28, 4, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "name": "a",
    "maker": "m",
    "grade": "A",
    "note": "n" * 3000,
    "day": date(2024, 6, 28),
    "count": 1,
    "size": 2,
    "price": Decimal("1.5"),
    "rate": 0.5,
    "at": NOON,
    "source_route": "x",
    "fetched_at": NOON,
    "is_final": True,
}


def with_bad(**changes: Any) -> Screened:
    return screen([GOOD, GOOD | {"name": "b"} | changes, GOOD | {"name": "c"}], THING)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("name", "b\0", "character NUL"),
        ("name", "b" * 501, "longer than 500 bytes"),
        ("name", None, "must not be missing"),
        ("maker", "中" * 167, "longer than 500 bytes"),
        ("grade", "ABCD", "longer than 3 bytes"),
        ("name", 5, None),  # a number has a text
        ("name", "b" * 500, None),
        ("grade", "ABC", None),
        ("day", date(1900, 1, 1), None),
        ("day", date(2999, 12, 31), None),
        ("day", date(1899, 12, 31), "between 1900-01-01 and 2999-12-31"),
        ("day", date(3000, 1, 1), "between 1900-01-01 and 2999-12-31"),
        ("size", 1000, None),
        ("size", -1000, None),
        ("day", date(1, 1, 1), "between 1900-01-01 and 2999-12-31"),
        ("day", "soon", "must be a day"),
        ("count", 3_000_000_000, "whole number of 32 bits"),
        ("count", 1.5, "whole number of 32 bits"),
        ("count", "many", "whole number of 32 bits"),
        ("size", 1001, "between -1000 and 1000"),
        ("size", -1001, "between -1000 and 1000"),
        ("size", 2**63, "whole number of 64 bits"),
        ("size", float("nan"), "whole number of 64 bits"),
        ("price", Decimal("1.23456"), "a decimal of"),
        ("price", Decimal("1234567"), "a decimal of"),
        ("price", Decimal("NaN"), "a decimal of"),
        ("rate", float("nan"), "must be a finite number"),
        ("rate", float("inf"), "must be a finite number"),
        ("rate", 5e-324, "must be 0, or 1e-100 away from it"),
        ("rate", -1e-100, None),
        ("rate", 0.0, None),
        ("rate", None, None),
        ("at", datetime(9999, 12, 31, tzinfo=UTC), "must lie between"),
    ],
)
def test_one_bad_value_costs_its_row_alone(column: str, value: Any, rule: str | None) -> None:
    rows, rejected, refused = with_bad(**{column: value})
    assert rows.schema == THING.schema
    if rule is None:
        assert (len(rows), rejected) == (3, [])
        return
    assert rows["name"].to_pylist() == ["a", "c"]
    assert len(refused) == 1
    (bad,) = rejected
    assert bad.field == column
    assert rule in bad.rule
    assert bad.value == str(value).replace("\0", "\\0")[:200]
    assert "\0" not in bad.row_key + bad.value + bad.payload


def test_a_table_of_wider_types_is_judged_like_records() -> None:
    counts = pa.array([1, 3_000_000_000, 3], pa.int64())
    columns = {name: [GOOD[name]] * 3 for name in GOOD} | {"name": ["a", "b", "c"]}
    rows, (bad,), _ = screen(pa.table(columns | {"count": counts}), THING)
    assert rows["count"].to_pylist() == [1, 3]
    assert (bad.row_key, bad.field, bad.value) == ("b 2024-06-28", "count", "3000000000")


def test_days_beyond_the_years_of_a_calendar_are_named_too() -> None:
    columns = {name: [GOOD[name]] * 2 for name in GOOD} | {"name": ["a", "b"]}
    days = pa.array([20_000, 2**31 - 1], pa.int32()).view(pa.date32())
    rows, (bad,), _ = screen(pa.table(columns | {"day": days}), THING)
    assert len(rows) == 1
    assert (bad.field, bad.value) == ("day", str(2**31 - 1))


def test_one_bad_tick_refuses_its_whole_day_and_no_other() -> None:
    def tick(day: int, ordinal: int, price: int) -> dict[str, Any]:
        return {
            "code": "sh600000",
            "trade_date": date(2024, 6, day),
            "ordinal": ordinal,
            "traded_at": NOON,
            "price": price,
            "volume": 1,
            "side": 0,
            "order_count": 0,
            "source_route": "x",
            "fetched_at": NOON,
            "is_final": True,
        }

    screened = screen([tick(27, 1, 10), tick(27, 2, 10**15), tick(28, 1, 10)], TICK_TRADE)
    assert [str(day) for day in screened.rows["trade_date"].to_pylist()] == ["2024-06-28"]
    assert len(screened.rejected) == 1


@functools.cache
def any_value(kind: pa.DataType) -> st.SearchStrategy[Any]:
    extremes = st.one_of(
        st.none(),
        st.text(alphabet=st.characters(exclude_categories=["Cs"])),
        st.sampled_from(["\0", "x" * 3000, "12", "NaN"]),
        st.integers(-(2**65), 2**65),
        st.sampled_from([0, 2**31, 2**63 - 1, -(2**63), 10**17, 3 * 10**9]),
        st.floats(),
        st.decimals(),
        st.dates(),
        st.datetimes(timezones=st.just(UTC)),
        st.booleans(),
    )
    return st.one_of(extremes, pa_values(kind))


def pa_values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_string(kind):
        return st.text(alphabet="ab")
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_date(kind):
        return st.dates(date(1990, 1, 1), date(2030, 1, 1))
    if pa.types.is_timestamp(kind):
        return st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
    return st.integers(0, 100)


def rows_of(landed: LandedTable) -> st.SearchStrategy[tuple[LandedTable, list[dict[str, Any]]]]:
    record = st.fixed_dictionaries({c.name: any_value(c.type) for c in landed.schema})
    return st.tuples(st.just(landed), st.lists(record, max_size=4))


# the strategies of all tables are made once: each example would make and validate its own
@given(st.one_of([rows_of(landed) for landed in landed_tables()]))
def test_any_rows_are_screened_to_the_declaration(
    example: tuple[LandedTable, list[dict[str, Any]]],
) -> None:
    landed, records = example

    rows, rejected, refused = screen(records, landed)

    assert rows.schema == landed.schema
    # every row is there once, but for the rest of a unit that lands whole or not at all
    assert len(rows) + len(refused) == len(records) or landed.whole
    assert {r.field for r in rejected} <= {*landed.schema.names}
    for column in landed.schema:
        least, most = limits(column, landed)
        for value in rows[column.name].to_pylist():
            assert value is not None or column.nullable
            assert not isinstance(value, str) or "\0" not in value
            assert value is None or least is None or least <= _bare(value, least) <= most


def _bare(value: Any, like: Any) -> Any:
    return value if not isinstance(value, datetime) or isinstance(like, datetime) else value.date()


def test_a_reject_is_withdrawn_by_its_row_or_by_any_of_its_unit() -> None:
    def fields(row: dict[str, Any], again: dict[str, Any], landed: LandedTable) -> list[str]:
        rejects = screen([row], landed).rejected
        assert rejects
        rows = withdrawn(rejects, screen([again], landed).rows, landed.key, landed.whole)
        return [reject.field for reject in rows if reject.is_withdrawn]

    good = {"name": "b c", "day": date(2024, 6, 28)}
    assert fields(GOOD | good | {"size": 1001}, GOOD | good, THING) == ["size"]
    assert fields(GOOD | good | {"size": 1001}, GOOD | good | {"name": "b"}, THING) == []
    tick: dict[str, Any] = dict.fromkeys(("price", "volume", "side", "order_count"), 1)
    tick |= {"code": "sh600000", "trade_date": GOOD["day"], "traded_at": NOON}
    tick |= {name: GOOD[name] for name in ("source_route", "fetched_at", "is_final")}
    refused = tick | {"ordinal": 7, "price": 10**10}
    assert fields(refused, tick | {"ordinal": 1}, TICK_TRADE) == ["price"]
    other_day = {"ordinal": 7, "trade_date": date(2024, 6, 27)}
    assert fields(refused, tick | other_day, TICK_TRADE) == []


def test_what_a_reading_covers_and_rejects_no_longer_is_withdrawn() -> None:
    stored = [Rejected(key, "price", "must be a number", "x", "{}") for key in "abc"]
    settled = withdraw_settled(stored, stored[:1], lambda reject: reject.row_key != "c")
    assert [(reject.row_key, reject.is_withdrawn) for reject in settled] == [("b", True)]


def test_an_instant_is_named_alike_in_every_zone() -> None:
    assert shown(NOON.astimezone(timezone(timedelta(hours=8)))) == shown(NOON)
