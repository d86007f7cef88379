"""The desktop client's folder before the service."""

from datetime import date

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.client.answers import EXCHANGES
from tests.integration.tdx_load.conftest import OpenBench
from tests.integration.tdx_load.folder import (
    BARS,
    CODE,
    RECORD,
    ClientFolder,
    raise_prices,
    set_time,
)


def test_beside_a_service_that_is_down_the_files_bars_land(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write(days[-2])
    bench = folder.bench(base_url="http://127.0.0.1:9", retries=0)
    result = bench.load()
    assert result.exit_code == 6
    assert any("outage" in warning for warning in result.warnings), result.warnings
    newest = f"select max(trade_date) from raw_tdx.kline_daily where code = '{CODE}'"
    assert bench.rows(newest) == [(days[-2],)]
    # what was written since lands by the retry too, and the service's failure stays
    folder.write()
    assert bench.load(retry=True).exit_code == 6
    assert bench.rows(newest) == [(days[-1],)]


@pytest.mark.long
def test_the_service_fills_what_files_lack(
    folder: ClientFolder, open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    folder.exchanges = EXCHANGES
    folder.write(days[-3])
    szs = folder.path / "T0002/hq_cache/szs.tnf"
    szs.parent.mkdir(parents=True)
    szs.write_bytes(b"no list")
    with open_bench(small_market, client=str(folder.path)) as both:
        first = both.load()
        assert first.exit_code == 0
        assert any("the listed codes of sz do not change" in text for text in first.warnings)
        days_by_route = both.rows(
            "select source_route, array_agg(distinct trade_date order by trade_date)"
            " from raw_tdx.kline_daily where code = %s group by 1",
            CODE,
        )
        assert dict(days_by_route) == {"vipdoc/lday": days[:-2], "/api/kline-all": days[-2:]}
        filled = both.rows(BARS)
        assert both.load().total("rows_new") == 0
        # for an index that is gone the service stands in, if it is asked for it
        for index in ("sh000001", "sz399001"):
            folder.day_file(index).unlink()
        assert both.load(datasets=("index_kline",)).exit_code == 0
    with open_bench(small_market) as served:
        served.execute("truncate raw_tdx.kline_daily")
        assert served.load(mode="init").exit_code == 0
        codes = {row[0] for row in served.rows("select code from raw_tdx.kline_daily")}
        assert [row for row in filled if row[0] in codes] == served.rows(BARS)


@pytest.mark.long
def test_a_code_whose_file_is_gone_fails_if_the_service_has_no_bars_either(
    folder: ClientFolder, open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    folder.write(days[-2])
    alone, served = folder.day_file("sh600999"), folder.day_file()
    alone.write_bytes(served.read_bytes())
    set_time(alone, days[-2])
    with open_bench(small_market, client=str(folder.path)) as both:
        both.sandbox.set_clock(days[-2])
        assert both.load().exit_code == 0
        newest = (
            "select code, max(trade_date) from raw_tdx.kline_daily"
            f" where code in ('{CODE}', 'sh600999') group by 1 order by 1"
        )
        for file in (served, alone):
            file.unlink()
        both.sandbox.set_clock(days[-1])

        missed = both.load()

        assert missed.exit_code == 6
        failures = {key: why for task in missed.tasks for key, why in task.failures.items()}
        assert failures.keys() == {"all", "sh600999"}
        assert "the share is mounted" in failures["all"]
        assert "sh600999: success without a single bar" in failures["sh600999"]
        assert both.rows(newest) == [(CODE, days[-1]), ("sh600999", days[-2])]


def test_where_file_and_service_disagree_the_file_wins_with_a_finding(
    folder: ClientFolder, open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    folder.write(days[-3])
    file = folder.day_file()
    content = bytearray(file.read_bytes())
    raise_prices(content, len(content) // RECORD - 1)
    file.write_bytes(content)
    close = int.from_bytes(content[-16:-12], "little") * 10
    with open_bench(small_market, client=str(folder.path)) as both:
        assert both.load().exit_code == 0
        bar = "select close, source_route from raw_tdx.kline_daily where code = %s"
        landed = both.rows(f"{bar} and trade_date = %s", CODE, days[-3])
        assert landed == [(close, "vipdoc/lday")]
        [(value,)] = both.rows(
            "select value from raw_tdx.rejected_row "
            "where row_key = %s and not coalesce(is_withdrawn, false)",
            f"{CODE} {days[-3]}",
        )
        assert value.endswith(f"against {close}")
