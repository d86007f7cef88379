"""The landing path tells the change feed what it really wrote, in the transaction of the rows."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loaders.landing import change_feed
from loaders.tdx.tables import KLINE_DAILY, SECURITY, TABLES, TICK_TRADE, TRADING_DAY
from loaders.warehouse.tables import Batch, LandedTable
from quotemill.errors import DataQualityError, UsageError
from tests.declared import conform
from tests.integration.landing.conftest import LandingBench

NOON = datetime(2024, 6, 28, 4, tzinfo=UTC)
TODAY = date(2024, 6, 28)
Land = Callable[..., None]


@pytest.fixture
def bench(warehouse_dsn: str, tmp_path: Path) -> LandingBench:
    return LandingBench(warehouse_dsn, tmp_path, *TABLES)


@pytest.fixture
def land(bench: LandingBench) -> Land:
    def land_rows(table: LandedTable, *rows: dict[str, Any]) -> None:
        standard = {"source_route": "/api/test", "fetched_at": NOON, "is_final": True}
        defaults = {f.name: None if f.nullable else 1 for f in table.schema}
        filled = [defaults | standard | row for row in rows]
        arrow = conform(pa.Table.from_pylist(filled, schema=table.schema), table)
        bench.land_batches(table, Batch(arrow))

    return land_rows


def bar(code: str, day: date, close: int = 10, **more: Any) -> dict[str, Any]:
    return {"code": code, "trade_date": day, "close": close} | more


def span(first: date, last: date) -> str:
    return f"[{first},{last + timedelta(days=1)})"


def test_rows_that_are_new_or_changed_are_reported_by_code_and_day(
    bench: LandingBench, land: Land
) -> None:
    old = date(1995, 3, 1)
    land(KLINE_DAILY, bar("sh600000", old), bar("sh600000", TODAY), bar("sz000002", TODAY))
    today = f"{{{span(TODAY, TODAY)}}}"
    two_days = f"{{{span(old, old)},{span(TODAY, TODAY)}}}"
    assert bench.take_changes(KLINE_DAILY) == [("sh600000", two_days), ("sz000002", today)]

    later = NOON + timedelta(days=1)
    land(
        KLINE_DAILY,
        bar("sh600000", old, fetched_at=later),
        bar("sz000002", TODAY, 11, fetched_at=later),
        bar("sh600000", TODAY, 11, fetched_at=later, is_final=False),
    )
    assert bench.take_changes(KLINE_DAILY) == [("sz000002", today)]


def test_a_long_history_is_reported_in_few_ranges(bench: LandingBench, land: Land) -> None:
    years = [date(1999, 12, 30) + timedelta(days=n) for n in range(0, 4000, 7)]
    land(KLINE_DAILY, *(bar("sh600000", day) for day in years))

    assert bench.take_changes(KLINE_DAILY) == [("sh600000", f"{{{span(years[0], years[-1])}}}")]


def test_a_table_without_codes_or_dates_is_reported_as_a_whole(
    bench: LandingBench, land: Land
) -> None:
    land(TRADING_DAY, {"trade_date": TODAY, "source": "service"})
    land(SECURITY, *({"code": c, **_named(c)} for c in ("sh600000", "sz000002")))

    assert bench.take_changes(TRADING_DAY) == [("", f"{{{span(TODAY, TODAY)}}}")]
    assert bench.take_changes(SECURITY) == [("sh600000", "{(,)}"), ("sz000002", "{(,)}")]


def _named(code: str) -> dict[str, Any]:
    return {"exchange": code[:2], "name": code, "instrument_type": "stock", "is_listed": True}


def test_a_day_that_only_lost_rows_is_reported(bench: LandingBench, land: Land) -> None:
    def tick(ordinal: int, fetched: datetime) -> dict[str, Any]:
        row = {"code": "sh600000", "trade_date": TODAY, "ordinal": ordinal, "traded_at": NOON}
        return row | {"fetched_at": fetched}

    land(TICK_TRADE, tick(1, NOON), tick(2, NOON))
    day = [("sh600000", f"{{{span(TODAY, TODAY)}}}")]
    assert bench.take_changes(TICK_TRADE) == day

    land(TICK_TRADE, tick(1, NOON + timedelta(hours=1)))
    assert bench.take_changes(TICK_TRADE) == day
    land(TICK_TRADE, tick(1, NOON + timedelta(hours=2)))
    assert bench.take_changes(TICK_TRADE) == []


def test_rows_and_feed_are_one_transaction(bench: LandingBench, land: Land) -> None:
    with bench.connect() as conn:
        # the last statement of a landing cannot succeed
        conn.execute("alter table ops.landed_files add constraint broken check (rows_new = 0)")

    with pytest.raises(DataQualityError, match="broken"):
        land(KLINE_DAILY, bar("sh600000", TODAY))

    with bench.connect() as conn:
        assert conn.execute("select count(*) from raw_tdx.kline_daily").fetchone() == (0,)
    assert bench.take_changes(KLINE_DAILY) == []


def test_a_touch_reports_codes_without_rows_and_refuses_bad_input(
    bench: LandingBench, land: Land
) -> None:
    land(KLINE_DAILY, bar("sh600000", TODAY))
    bench.take_changes(KLINE_DAILY)
    with bench.connect() as conn:
        assert change_feed.touch(conn, KLINE_DAILY, ["sh600000", "sh1"], TODAY) == ["sh1"]
        assert change_feed.touch(conn, TRADING_DAY) == []
        with pytest.raises(UsageError, match="codes"):
            change_feed.touch(conn, TRADING_DAY, ["sh600000"])
        with pytest.raises(UsageError, match="dates"):
            change_feed.touch(conn, SECURITY, since=TODAY)

    assert bench.take_changes(KLINE_DAILY) == [
        ("sh1", f"{{[{TODAY},)}}"),
        ("sh600000", f"{{[{TODAY},)}}"),
    ]
    assert bench.take_changes(TRADING_DAY) == [("", "{(,)}")]


def test_a_table_can_be_named_with_or_without_its_schema() -> None:
    assert change_feed.find_table(TABLES, "kline_daily") is KLINE_DAILY
    assert change_feed.find_table(TABLES, "raw_tdx.kline_daily") is KLINE_DAILY
    with pytest.raises(UsageError, match="kline_dayly") as error:
        change_feed.find_table(TABLES, "kline_dayly")
    assert "raw_tdx.kline_daily" in str(error.value.hint)
