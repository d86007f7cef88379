"""Rows that have no key of their own are replaced unit by unit: a day of ticks is one."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from loaders.landing import landed_file, upsert
from loaders.landing.load_job import Landed
from loaders.warehouse.tables import Batch, landed_table
from quotemill.warehouse.postgres import Warehouse
from tests.declared import conform
from tests.integration.landing.conftest import LandingBench

DAYS = (date(2024, 6, 27), date(2024, 6, 28))
NOON = datetime(2024, 6, 28, 4, tzinfo=UTC)
NEXT_DAY = NOON + timedelta(days=1)
TICK = landed_table(
    "raw_tdx",
    "tick",
    [
        ("code", pa.string()),
        ("trade_date", pa.date32()),
        ("ordinal", pa.int32()),
        ("price", pa.int64()),
    ],
    key=("code", "trade_date", "ordinal"),
    whole=("code", "trade_date"),
)
Land = Callable[..., Landed]


def day(code: str, when: date, prices: list[int], fetched: datetime, *, final: bool) -> pa.Table:
    size = len(prices)
    columns: dict[str, Any] = {
        "code": [code] * size,
        "trade_date": pa.array([when] * size, pa.date32()),
        "ordinal": pa.array(range(1, size + 1), pa.int32()),
        "price": prices,
        "source_route": ["/api/test"] * size,
        "fetched_at": pa.array([fetched] * size, pa.timestamp("us", tz="UTC")),
        "is_final": [final] * size,
    }
    return conform(pa.table(columns), TICK)


@pytest.fixture
def bench(warehouse_dsn: str, tmp_path: Path) -> LandingBench:
    return LandingBench(warehouse_dsn, tmp_path, TICK)


@pytest.fixture
def land(bench: LandingBench) -> Land:
    return lambda *days: bench.land_batches(TICK, *map(Batch, days))


def prices(warehouse: Warehouse) -> dict[tuple[str, date], list[int]]:
    with warehouse.connect() as conn:
        rows = conn.execute(
            "select code, trade_date, array_agg(price order by ordinal) "
            "from raw_tdx.tick group by 1, 2"
        ).fetchall()
    return {(code, when): closes for code, when, closes in rows}


def test_a_day_that_shrinks_leaves_no_old_row(warehouse: Warehouse, land: Land) -> None:
    first, last = DAYS
    land(
        day("sh600000", first, [1, 2], NOON, final=True),
        day("sh600000", last, [1, 2, 3, 4], NOON, final=False),
        day("sz000002", last, [7, 8, 9], NOON, final=False),
    )

    landed = land(day("sh600000", last, [1, 5], NEXT_DAY, final=True))

    assert prices(warehouse) == {
        ("sh600000", first): [1, 2],
        ("sh600000", last): [1, 5],
        ("sz000002", last): [7, 8, 9],
    }
    assert (landed.new, landed.changed) == (0, 4)  # two rewritten, two deleted


def test_a_provisional_day_replaces_no_part_of_a_final_one(
    warehouse: Warehouse, land: Land
) -> None:
    land(day("sh600000", DAYS[1], [1, 2], NEXT_DAY, final=True))

    longer = land(day("sh600000", DAYS[1], [1, 2, 3], NEXT_DAY, final=False))
    shorter = land(day("sh600000", DAYS[1], [1], NEXT_DAY + timedelta(hours=1), final=False))

    assert prices(warehouse) == {("sh600000", DAYS[1]): [1, 2]}
    assert (longer.new, longer.changed, shorter.new, shorter.changed) == (0, 0, 0, 0)


def test_an_older_answer_replaces_no_part_of_a_newer_one(warehouse: Warehouse, land: Land) -> None:
    land(day("sh600000", DAYS[1], [1, 2], NOON, final=False))

    land(day("sh600000", DAYS[1], [1, 2, 3], NOON - timedelta(hours=1), final=False))

    assert prices(warehouse) == {("sh600000", DAYS[1]): [1, 2]}


def test_an_answer_of_a_clock_ahead_blocks_no_later_one(warehouse: Warehouse, land: Land) -> None:
    land(day("sh600000", DAYS[1], [1, 2], datetime(2999, 6, 28, tzinfo=UTC), final=True))

    land(day("sh600000", DAYS[1], [1, 3, 4], NEXT_DAY, final=True))

    assert prices(warehouse) == {("sh600000", DAYS[1]): [1, 3, 4]}


def test_the_same_day_again_writes_nothing(warehouse: Warehouse, land: Land) -> None:
    rows = day("sh600000", DAYS[1], [1, 2, 3], NEXT_DAY, final=True)
    land(rows)

    again = land(rows)

    assert (again.read, again.new, again.changed) == (3, 0, 0)


def test_old_and_new_rows_change_in_one_transaction(
    warehouse: Warehouse, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(day("sh600000", DAYS[1], [1, 2, 3], NOON, final=False))
    seen: list[int] = []
    upsert_sql = upsert.upsert_sql

    def encode_and_check(*args: Any, **kwargs: Any) -> bytes:
        # the old rows are deleted by now, for the landing's own eyes only
        with psycopg.connect(warehouse.url) as other:
            row = other.execute("select count(*) from raw_tdx.tick").fetchone()
        assert row is not None
        seen.append(row[0])
        return upsert_sql(*args, **kwargs)

    monkeypatch.setattr(landed_file, "upsert_sql", encode_and_check)
    land(day("sh600000", DAYS[1], [9], NEXT_DAY, final=True))

    assert 3 in seen
    assert 0 not in seen
    assert prices(warehouse) == {("sh600000", DAYS[1]): [9]}
