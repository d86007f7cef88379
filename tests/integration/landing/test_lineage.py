"""Lineage as numbers: routes and files by number in the rows, their names beside them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.landing import first_copy, lineage
from loaders.landing.load_job import Landed
from loaders.landing.rejects import rejected_rows
from loaders.warehouse import migrate
from loaders.warehouse.tables import Batch, landed_table
from tests.integration.landing.conftest import LandingBench

DAY, NOON = date(2024, 6, 28), datetime(2024, 6, 28, 4, tzinfo=UTC)
MINUTE = landed_table(
    "raw_tdx",
    "minute",
    [("code", pa.string()), ("trade_date", pa.date32()), ("close", pa.int64())],
    key=("code", "trade_date"),
    numbered=True,
)
REJECTED = rejected_rows("raw_tdx")
NAMED = (
    "select m.code, r.route, f.load_id from raw_tdx.minute as m inner join ops.routes as r "
    "using (route_no) inner join ops.landed_files as f using (file_no) order by m.code"
)


@pytest.fixture
def bench(warehouse_dsn: str, tmp_path: Path) -> LandingBench:
    return LandingBench(warehouse_dsn, tmp_path)


def land(bench: LandingBench, closes: dict[str, int], route: str, hour: int = 0) -> Landed:
    rows = [
        {
            "code": code,
            "trade_date": DAY,
            "close": close,
            "source_route": route,
            "fetched_at": NOON + timedelta(hours=hour),
            "is_final": True,
        }
        for code, close in closes.items()
    ]
    batch = Batch(pa.Table.from_pylist(rows, MINUTE.schema))
    return bench.land_batches(MINUTE, batch)


def columns(bench: LandingBench) -> list[tuple[Any, ...]]:
    return bench.rows(
        "select attname, format_type(atttypid, null), attnotnull from pg_attribute "
        "where attrelid = 'raw_tdx.minute'::regclass and attnum > 0 order by attnum"
    )


@pytest.mark.parametrize("fewest", [1, first_copy.FEWEST], ids=["straight", "staged"])
def test_a_row_has_the_route_and_file_that_last_changed_it(
    bench: LandingBench, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    monkeypatch.setattr(first_copy, "FEWEST", fewest)
    migrate.prepare(bench.warehouse, [MINUTE, REJECTED])
    first = land(bench, {"sh600000": 1, "sh600001": 1}, "/api/one")
    second = land(bench, {"sh600000": 1, "sh600001": 2}, "/api/two", hour=1)

    assert (second.read, second.new, second.changed) == (2, 0, 1)
    assert bench.rows(NAMED) == [
        ("sh600000", "/api/one", first.load_ids[0]),
        ("sh600001", "/api/two", second.load_ids[0]),
    ]
    assert columns(bench) == [
        ("code", "text", True),
        ("is_final", "boolean", True),
        ("route_no", "smallint", True),
        ("file_no", "integer", True),
        ("trade_date", "date", True),
        ("close", "bigint", True),
        ("fetched_at", "timestamp with time zone", True),
    ]


def test_route_numbers_add_no_bytes_to_a_row_with_a_code(bench: LandingBench) -> None:
    own = [("code", pa.string()), ("close", pa.int64())]
    migrate.prepare(
        bench.warehouse, [landed_table("raw_tdx", "minute", own, ("code",), numbered=True)]
    )
    with bench.warehouse.connect() as conn:
        [(size, bare)] = conn.execute(
            "insert into raw_tdx.minute as m values ('sh600000', true, 1, 1, 10, now()) "
            "returning pg_column_size(m.*), pg_column_size(row(m.code, m.close, m.fetched_at))"
        )
    assert size == bare


def test_two_concurrent_loads_agree_on_the_number_of_a_new_route(
    bench: LandingBench, tmp_path: Path
) -> None:
    migrate.prepare(bench.warehouse, [MINUTE, REJECTED])
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"source_route": ["/api/new", "/api/own"]}), path)
    waits = "select count(*) from pg_locks where not granted and pid = %s"

    with bench.warehouse.connect() as first, bench.warehouse.connect(autocommit=True) as second:
        [(number,)] = first.execute(
            "insert into ops.routes (route) values ('/api/new') returning route_no"
        )

        def meet() -> dict[str, int]:
            with pq.ParquetFile(path) as file:
                return lineage.number_routes(second, file)

        with ThreadPoolExecutor(1) as pool:
            met = pool.submit(meet)
            while not met.done() and first.execute(
                waits, (second.info.backend_pid,)
            ).fetchone() == (0,):
                pass
            first.commit()
            assert met.result()["/api/new"] == number
    assert bench.rows("select route from ops.routes order by 1") == [("/api/new",), ("/api/own",)]
