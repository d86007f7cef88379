"""Old versions of corrected rows, where the settings say so."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.landing.landed_file import land_file
from loaders.landing.target import Target
from loaders.settings import load_settings
from loaders.warehouse.content import content_id
from loaders.warehouse.migrate import prepare
from loaders.warehouse.tables import LOAD_ID, Batch, landed_table
from quotemill.errors import SettingsError
from quotemill.warehouse.history import find_start
from tests.declared import conform
from tests.integration.landing.conftest import LandingBench
from tests.integration.landing.test_whole_units import DAYS, NEXT_DAY, NOON, TICK, day

BAR = landed_table(
    "raw_tdx",
    "bar",
    [("code", pa.string()), ("trade_date", pa.date32()), ("close", pa.int64())],
    key=("code", "trade_date"),
)
KEPT = frozenset({BAR.qualified, TICK.qualified})
VERSIONS = "select code, close, fetched_at, known_until from raw_tdx.bar_history order by 1, 3"
LATER = NEXT_DAY + timedelta(days=1)


def bars(closes: dict[str, int], fetched: datetime, *, final: bool = True) -> pa.Table:
    columns: dict[str, Any] = {
        "code": list(closes),
        "trade_date": pa.array([DAYS[0]] * len(closes), pa.date32()),
        "close": list(closes.values()),
        "source_route": ["/api/test"] * len(closes),
        "fetched_at": pa.array([fetched] * len(closes), pa.timestamp("us", tz="UTC")),
        "is_final": [final] * len(closes),
    }
    return conform(pa.table(columns), BAR)


def keep(bench: LandingBench, *names: str) -> None:
    """Prepare the warehouse as a load with this setting does."""
    bench.warehouse = replace(bench.warehouse, history=frozenset(names))
    prepare(bench.warehouse, (BAR, TICK))


@pytest.fixture
def bench(warehouse_dsn: str, tmp_path: Path) -> LandingBench:
    made = LandingBench(warehouse_dsn, tmp_path, BAR, TICK)
    keep(made, *KEPT)
    return made


def test_a_correction_keeps_the_row_that_it_replaces(bench: LandingBench) -> None:
    bench.land_batches(BAR, Batch(bars({"a": 1, "b": 5}, NOON)))
    assert bench.rows(VERSIONS) == []
    landed = bench.land_batches(BAR, Batch(bars({"a": 2, "b": 5}, NEXT_DAY)))
    assert (landed.new, landed.changed) == (0, 1)
    first = ("a", 1, NOON, NEXT_DAY)
    assert bench.rows(VERSIONS) == [first]
    # again, and an older answer: nothing changes
    bench.land_batches(BAR, Batch(bars({"a": 2, "b": 5}, LATER)))
    bench.land_batches(BAR, Batch(bars({"a": 3}, NOON)))
    assert bench.rows(VERSIONS) == [first]
    bench.land_batches(BAR, Batch(bars({"a": 4}, LATER)))
    assert bench.rows(VERSIONS) == [first, ("a", 2, NEXT_DAY, LATER)]


def test_a_final_row_ends_the_provisional_one(bench: LandingBench) -> None:
    bench.land_batches(BAR, Batch(bars({"a": 1}, NEXT_DAY, final=False)))
    bench.land_batches(BAR, Batch(bars({"a": 2}, NOON)))
    # it was fetched before the provisional one, which so was known at no time
    assert bench.rows(VERSIONS) == [("a", 1, NEXT_DAY, NEXT_DAY)]
    assert bench.rows("select is_final from raw_tdx.bar_history") == [(False,)]


def test_a_key_twice_in_an_answer_keeps_one_old_version(bench: LandingBench) -> None:
    bench.land_batches(BAR, Batch(bars({"a": 1}, NOON)))
    twice = pa.concat_tables([bars({"a": 2}, NEXT_DAY), bars({"a": 3}, LATER)])
    bench.land_batches(BAR, Batch(twice))
    assert bench.rows(VERSIONS) == [("a", 1, NOON, LATER)]
    assert bench.rows("select close from raw_tdx.bar") == [(3,)]


def test_rows_that_a_new_unit_lacks_are_kept(bench: LandingBench) -> None:
    bench.land_batches(TICK, Batch(day("a", DAYS[0], [1, 2, 3], NOON, final=True)))
    bench.land_batches(TICK, Batch(day("a", DAYS[0], [1, 9], NEXT_DAY, final=True)))
    assert bench.rows("select price from raw_tdx.tick order by ordinal") == [(1,), (9,)]
    assert bench.rows(
        "select ordinal, price, fetched_at, known_until from raw_tdx.tick_history order by ordinal"
    ) == [(2, 2, NOON, NEXT_DAY), (3, 3, NOON, NEXT_DAY)]
    # an older answer replaces nothing
    bench.land_batches(TICK, Batch(day("a", DAYS[0], [5], NOON, final=True)))
    assert bench.rows("select count(*) from raw_tdx.tick_history") == [(2,)]


def test_a_load_that_is_killed_keeps_no_version(bench: LandingBench, tmp_path: Path) -> None:
    bench.land_batches(BAR, Batch(bars({"a": 1}, NOON)))
    rows = bars({"a": 2}, NEXT_DAY)
    file = tmp_path / "rows.parquet"
    pq.write_table(rows.append_column(LOAD_ID, pa.array(["x"])), file)
    target = Target("raw_tdx", "bar", BAR.key, entity="code", day="trade_date", keeps_history=True)
    conn = bench.warehouse.connect()
    land_file(conn, file, target, file_id="x/1", content=content_id(bench.warehouse))
    assert conn.execute("select count(*) from raw_tdx.bar_history").fetchone() == (1,)
    bench.rows("select pg_terminate_backend(%s)", conn.info.backend_pid)
    with pytest.raises(psycopg.OperationalError):
        conn.commit()
    conn.close()
    assert bench.rows(VERSIONS) == []
    assert bench.rows("select close from raw_tdx.bar") == [(1,)]
    bench.land_batches(BAR, Batch(rows))
    assert bench.rows(VERSIONS) == [("a", 1, NOON, NEXT_DAY)]


def test_without_the_setting_nothing_is_kept(warehouse_dsn: str, tmp_path: Path) -> None:
    bench = LandingBench(warehouse_dsn, tmp_path, BAR)
    bench.land_batches(BAR, Batch(bars({"a": 1}, NOON)))
    bench.land_batches(BAR, Batch(bars({"a": 2}, NEXT_DAY)))
    assert bench.rows("select to_regclass('raw_tdx.bar_history')::text") == [(None,)]


def test_the_time_since_versions_are_kept_is_that_of_the_setting(bench: LandingBench) -> None:
    def start() -> str | None:
        with bench.connect() as conn:
            return find_start(conn, BAR.qualified)

    first = start()
    assert first is not None
    keep(bench, *KEPT)
    assert start() == first
    bench.land_batches(BAR, Batch(bars({"a": 1}, NOON)))
    bench.land_batches(BAR, Batch(bars({"a": 2}, NEXT_DAY)))
    keep(bench)
    assert start() is None
    keep(bench, BAR.qualified)
    assert start() > first
    assert len(bench.rows(VERSIONS)) == 1


def test_a_column_of_a_later_version_comes_into_the_old_rows_too(bench: LandingBench) -> None:
    bench.execute("alter table raw_tdx.bar add column turnover bigint")
    keep(bench, *KEPT)
    bench.land_batches(BAR, Batch(bars({"a": 1}, NOON)))
    bench.execute("update raw_tdx.bar set turnover = 7")
    bench.land_batches(BAR, Batch(bars({"a": 2}, NEXT_DAY)))
    assert bench.rows("select close, turnover from raw_tdx.bar_history") == [(1, 7)]


def test_a_table_that_is_not_landed_is_refused(bench: LandingBench, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"raw_tdx\.bars") as unknown:
        keep(bench, "raw_tdx.bars")
    assert unknown.value.hint.endswith(": raw_tdx.bar, raw_tdx.tick.")
    environ = {"QUOTEMILL_HISTORY__KEEP": " raw_tdx.bar,raw_tdx.tick, "}
    assert load_settings(environ, cwd=tmp_path).history.tables == KEPT
    with pytest.raises(SettingsError, match=r"schema.* kline_daily"):
        load_settings({"QUOTEMILL_HISTORY__KEEP": "kline_daily"}, cwd=tmp_path)
