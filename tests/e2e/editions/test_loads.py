"""The same loads land the same rows on plain PostgreSQL and on both editions of TimescaleDB."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from loaders.warehouse.timescale_settings import TimescaleSettings
from tests.integration.tdx_load.bench import bench, days_until

CODES = ("sh600000", "sz000001")
DATASETS = ("codes", "trading_calendar", "kline_daily", "minute_1m", "tick_trade")
MINUTES = """
    select code, bar_end, trade_date, source_label, open, high, low, close, volume, amount, is_final
    from raw_tdx.kline_minute order by code, bar_end
"""
TICKS = """
    select code, trade_date, ordinal, traded_at, price, volume, side, is_final
    from raw_tdx.tick_trade order by code, trade_date, ordinal
"""
DAYS = """
    select code, trade_date, open, high, low, close, volume, amount, is_final
    from raw_tdx.kline_daily order by code, trade_date
"""
FEED = """
    select table_name, key, dates::text from ops.changes
    where table_name in ('raw_tdx.kline_daily', 'raw_tdx.kline_minute', 'raw_tdx.tick_trade')
    order by 1, 2, 3
"""
COUNTED = """
    select table_name, sum(rows_new)::integer, sum(rows_changed)::integer from ops.landed_files
    group by 1 order by 1
"""
COMPRESS = """
    alter table raw_tdx.kline_minute
    set (
        timescaledb.enable_columnstore,
        timescaledb.segmentby = 'code',
        timescaledb.orderby = 'bar_end desc'
    );
    alter table raw_tdx.tick_trade set (
        timescaledb.enable_columnstore, timescaledb.segmentby = 'code',
        timescaledb.orderby = 'trade_date desc, ordinal desc'
    );
    alter table raw_tdx.kline_daily set (
        timescaledb.enable_columnstore, timescaledb.segmentby = 'code',
        timescaledb.orderby = 'trade_date desc'
    );
    select compress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass)
    from timescaledb_information.chunks where hypertable_schema = 'raw_tdx';
"""


@pytest.mark.parametrize("edition", ["apache", "tsl"])
def test_two_days_of_loads_land_the_rows_of_plain_postgresql(
    edition: str, database_of: Callable[..., str], small_market: SyntheticMarket, tmp_path: Path
) -> None:
    evenings = days_until(small_market)[-2:]

    def loaded(edition: str) -> list[Any]:
        home = tmp_path / edition
        home.mkdir()
        with bench(small_market, database_of(edition), home, clock=evenings[0]) as made:
            made.settings = made.settings.model_copy(
                update={"timescale": TimescaleSettings(daily=edition != "none")}
            )
            for evening in evenings:
                made.sandbox.set_clock(evening)
                assert made.load(codes=CODES, datasets=DATASETS).exit_code == 0
                if edition == "tsl":
                    made.execute(COMPRESS)
            # every row is read again, and none lands twice
            assert made.load(codes=CODES, datasets=DATASETS, mode="init").exit_code == 0
            if edition != "none":
                assert made.rows("select count(*) from show_chunks('raw_tdx.kline_daily')")[0][0]
            return [made.rows(query) for query in (DAYS, MINUTES, TICKS, FEED, COUNTED)]

    theirs, plain = loaded(edition), loaded("none")

    assert all(plain)
    assert theirs == plain
