"""Landing into compressed chunks: only rows that differ are opened, reported and counted."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from loaders.landing import load_job
from loaders.landing.landed_file import land_file
from loaders.landing.load_job import Landed
from loaders.landing.rejects import rejected_rows
from loaders.tdx.tables import KLINE_MINUTE, TICK_TRADE
from loaders.warehouse import migrate
from loaders.warehouse.tables import Batch, LandedTable
from quotemill.errors import DataQualityError
from tests.bars import minutes
from tests.declared import conform
from tests.integration.landing.conftest import LandingBench

CODES, DAYS = 30, 15
DAY = date(2024, 6, 28)
NOON = datetime(2024, 6, 28, 4, tzinfo=UTC)
REFUSED = rejected_rows("raw_tdx")
COMPRESSED = 1  # of a chunk's status; one more bit is set once rows of it are opened


class Shore(LandingBench):
    def land(self, table: LandedTable, rows: pa.Table) -> Landed:
        return self.land_batches(table, Batch(rows), rejects=REFUSED)

    def compress(self, table: LandedTable, time: str, order: str) -> None:
        with self.warehouse.connect() as conn:
            conn.execute(
                f"select create_hypertable('{table.qualified}', "
                f"by_range('{time}', interval '1 month'), create_default_indexes => false, "
                "migrate_data => true, if_not_exists => true)".encode()
            )
            conn.execute(
                f"alter table {table.qualified} set (timescaledb.enable_columnstore, "
                f"timescaledb.segmentby = 'code', timescaledb.orderby = '{order}')".encode()
            )
            conn.execute(
                f"select compress_chunk(c) from show_chunks('{table.qualified}') c".encode()
            )
        self.take_changes(table)

    def opened(self) -> int:
        """Chunks of which some rows were opened."""
        [(count,)] = self.rows(
            "select count(*) from _timescaledb_catalog.chunk "
            f"where status & 1 = 1 and status <> {COMPRESSED}"
        )
        return int(count)

    def take_changes(self, table: LandedTable) -> dict[str, str]:  # type: ignore[override]
        return dict(super().take_changes(table))


@pytest.fixture
def shore(database_of: Callable[..., str], tmp_path: Path) -> Shore:
    return Shore(database_of("tsl"), tmp_path, KLINE_MINUTE, TICK_TRADE, REFUSED)


def ticks(
    count: int, fetched: datetime, price: int = 10, codes: int = CODES, day: date = DAY
) -> pa.Table:
    size = codes * count
    columns: dict[str, Any] = {
        "code": np.repeat([f"sh{600000 + n}" for n in range(codes)], count),
        "trade_date": pa.array([day] * size),
        "ordinal": np.tile(np.arange(1, count + 1), codes),
        "traded_at": pa.repeat(pa.scalar(NOON, pa.timestamp("us", tz="UTC")), size),
        "price": pa.repeat(price, size),
        "volume": pa.repeat(1, size),
        "side": pa.repeat(0, size),
        "order_count": pa.repeat(0, size),
        "source_route": pa.repeat("/api/test", size),
        "fetched_at": pa.repeat(pa.scalar(fetched, pa.timestamp("us", tz="UTC")), size),
        "is_final": pa.repeat(True, size),
    }
    return conform(pa.table(columns), TICK_TRADE)


def closing(rows: pa.Table, which: Any) -> pa.Table:
    """The rows, of which some close one higher than they did."""
    place = rows.schema.get_field_index("close")
    moved = pc.add(rows["close"], pc.cast(which, pa.int64()))
    return rows.set_column(place, rows.schema.field(place), moved)


def test_minutes_in_compressed_chunks_are_corrected(shore: Shore) -> None:
    bars = minutes(CODES, 0, DAYS)
    size = CODES * DAYS * 240
    assert size > 100_000
    assert shore.land(KLINE_MINUTE, bars).new == size
    shore.compress(KLINE_MINUTE, "bar_end", "bar_end desc")

    same = shore.land(KLINE_MINUTE, minutes(CODES, 0, DAYS, fetch=1))
    assert (same.new, same.changed) == (0, 0)
    assert shore.take_changes(KLINE_MINUTE) == {}
    assert shore.opened() == 0

    later = minutes(CODES, 0, DAYS, fetch=2)
    few = pc.and_(pc.equal(later["code"], "sh600007"), pc.equal(later["source_label"], "10:00"))
    landed = shore.land(KLINE_MINUTE, closing(later, few))
    assert (landed.new, landed.changed) == (0, DAYS)
    assert list(shore.take_changes(KLINE_MINUTE)) == ["sh600007"]
    assert shore.opened() > 0

    older = closing(bars, pa.array([True] * size))
    assert shore.land(KLINE_MINUTE, older).changed == size - DAYS  # fetched before those few
    every = closing(
        minutes(CODES, 0, DAYS + 1, fetch=3), pa.array([True] * CODES * (DAYS + 1) * 240)
    )
    landed = shore.land(KLINE_MINUTE, every)
    assert (landed.new, landed.changed) == (CODES * 240, 0)
    assert len(shore.take_changes(KLINE_MINUTE)) == CODES


def test_old_versions_of_compressed_rows_are_kept(shore: Shore) -> None:
    tables = frozenset({KLINE_MINUTE.qualified, TICK_TRADE.qualified})
    shore.warehouse = replace(shore.warehouse, history=tables)
    migrate.prepare(shore.warehouse, (KLINE_MINUTE, TICK_TRADE))
    shore.land(KLINE_MINUTE, minutes(2, 0, 3))
    shore.land(TICK_TRADE, ticks(5, NOON, codes=2))
    shore.compress(KLINE_MINUTE, "bar_end", "bar_end desc")
    shore.compress(TICK_TRADE, "trade_date", "trade_date desc, ordinal")
    was = "select code, source_label, close, fetched_at from raw_tdx.kline_minute"
    was += " where code = 'sh600001' and source_label = '10:00' order by bar_end"
    before = shore.rows(was)

    later = minutes(2, 0, 3, fetch=1)
    few = pc.and_(pc.equal(later["code"], "sh600001"), pc.equal(later["source_label"], "10:00"))
    assert shore.land(KLINE_MINUTE, closing(later, few)).changed == 3
    shore.land(TICK_TRADE, ticks(3, NOON + timedelta(days=1), price=11, codes=1))

    fetched = later["fetched_at"][0].as_py()
    history = "select code, source_label, close, fetched_at, known_until"
    history += " from raw_tdx.kline_minute_history order by bar_end"
    assert shore.rows(history) == [(*row, fetched) for row in before]
    # three ticks of the day are others, and two are gone
    days = "select code, ordinal, price from raw_tdx.tick_trade_history order by 1, 2"
    assert shore.rows(days) == [("sh600000", n, 10) for n in range(1, 6)]


def test_over_100000_compressed_minutes_change_at_once(shore: Shore) -> None:
    size = CODES * DAYS * 240
    shore.land(KLINE_MINUTE, minutes(CODES, 0, DAYS))
    shore.compress(KLINE_MINUTE, "bar_end", "bar_end desc")

    landed = shore.land(
        KLINE_MINUTE, closing(minutes(CODES, 0, DAYS, fetch=1), pa.array([True] * size))
    )

    assert (landed.new, landed.changed) == (0, size)
    assert len(shore.take_changes(KLINE_MINUTE)) == CODES


def test_a_refused_row_ends_the_load_and_changes_no_compressed_row(shore: Shore) -> None:
    shore.execute("alter table raw_tdx.kline_minute add constraint dear check (close <> 7)")
    shore.land(KLINE_MINUTE, minutes(2, 0, 2))
    shore.compress(KLINE_MINUTE, "bar_end", "bar_end desc")
    shore.take_changes(KLINE_MINUTE)
    later = minutes(3, 0, 2, fetch=1)
    bad = pc.and_(pc.equal(later["code"], "sh600001"), pc.equal(later["source_label"], "10:00"))
    place = later.schema.get_field_index("close")
    seven = pc.if_else(bad, pa.scalar(7, pa.int64()), later["close"])

    with pytest.raises(DataQualityError, match="dear"):
        shore.land(KLINE_MINUTE, later.set_column(place, later.schema.field(place), seven))

    assert shore.take_changes(KLINE_MINUTE) == {}
    assert shore.rows("select count(*) from raw_tdx.kline_minute") == [(2 * 2 * 240,)]


def test_days_of_ticks_are_replaced_in_compressed_chunks(shore: Shore) -> None:
    shore.land(TICK_TRADE, ticks(4_000, NOON))
    shore.compress(TICK_TRADE, "trade_date", "trade_date desc, ordinal")

    same = shore.land(TICK_TRADE, ticks(4_000, NOON + timedelta(hours=1)))
    assert (same.new, same.changed) == (0, 0)
    assert shore.take_changes(TICK_TRADE) == {}
    assert shore.opened() == 0

    worse = shore.land(TICK_TRADE, ticks(3_999, NOON - timedelta(hours=1)))
    assert (worse.new, worse.changed) == (0, 0)
    changed_row = shore.land(TICK_TRADE, ticks(3_999, NOON + timedelta(hours=2), codes=1))
    assert (changed_row.new, changed_row.changed) == (0, 1)
    day = f"{{[{DAY},{DAY + timedelta(days=1)})}}"
    assert shore.take_changes(TICK_TRADE) == {"sh600000": day}

    short = shore.land(TICK_TRADE, ticks(500, NOON + timedelta(hours=3)))
    assert short.changed == CODES * 3_500 - 1 > 100_000
    assert len(shore.take_changes(TICK_TRADE)) == CODES
    assert shore.rows("select count(*), max(ordinal) from raw_tdx.tick_trade") == [
        (CODES * 500, 500)
    ]


def test_a_day_of_compressed_ticks_is_compared_by_its_keys(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not each row with each: by the rows of temp tables that PostgreSQL counts as read."""
    days = [DAY - timedelta(days=number) for number in range(12)]
    shore.land(TICK_TRADE, pa.concat_tables(ticks(700, NOON, codes=8, day=day) for day in days))
    shore.compress(TICK_TRADE, "trade_date", "trade_date desc, ordinal desc")
    shore.land(TICK_TRADE, ticks(690, NOON + timedelta(hours=1), codes=8, day=days[9]))
    counts = []

    def land_and_count(conn: psycopg.Connection, *args: Any, **options: Any) -> None:
        land_file(conn, *args, **options)
        reads = (
            "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::integer "
            "from pg_stat_xact_user_tables where relid = to_regclass('pg_temp._read')"
        )
        counts.append(conn.execute(reads).fetchone())

    monkeypatch.setattr(load_job, "land_file", land_and_count)
    again = [ticks(700, NOON + timedelta(hours=2), price=11, codes=8, day=day) for day in days[5:7]]
    landed = shore.land(TICK_TRADE, pa.concat_tables(again))

    assert (landed.new, landed.changed) == (0, 2 * 8 * 700)
    [read] = [count for count in counts if count != (0,)]
    assert read < (10 * landed.read,)


def test_compression_and_dropping_by_age_report_no_change(shore: Shore) -> None:
    shore.land(KLINE_MINUTE, minutes(2, 0, DAYS))
    shore.compress(KLINE_MINUTE, "bar_end", "bar_end desc")
    shore.land(KLINE_MINUTE, minutes(2, DAYS, 1))
    shore.take_changes(KLINE_MINUTE)

    shore.rows("select compress_chunk(c) from show_chunks('raw_tdx.kline_minute') c")
    assert shore.take_changes(KLINE_MINUTE) == {}
    shore.rows("select drop_chunks('raw_tdx.kline_minute', interval '1 day')")
    assert shore.take_changes(KLINE_MINUTE) == {}
    assert shore.rows("select count(*) from raw_tdx.kline_minute") == [(0,)]
