"""A client's folder with day bars and five-minute bars only, from the first run to the readers."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import quotemill
from loaders.sandbox.tdx.vipdoc_files import _MINUTE as MINUTES
from loaders.trading_time import published_days
from tests.client_folder import RECORD
from tests.e2e.commands import Place

CODE, INDICES = "sh600011", ("sh000001", "sh880301")
DAYS = published_days(date(2025, 6, 24), date(2025, 6, 30))
SHARES = 240 * 137  # of a day: odd ones in each bar
OPENS = (time(9, 30), time(13))


def write_days(folder: Path, code: str) -> None:
    bars = np.zeros(len(DAYS), RECORD)
    bars["day"] = [int(f"{day:%Y%m%d}") for day in DAYS]
    for name in ("open", "high", "low", "close"):
        bars[name] = 1000
    bars["volume"], bars["amount"] = SHARES, 10 * SHARES
    write(folder / f"vipdoc/sh/lday/{code}.day", bars)


def write_minutes(folder: Path, place: str, days: list[date], length: int) -> None:
    """Write bars of so many minutes, each of whose minutes has 137 shares at 10 yuan."""
    ends = [
        datetime.combine(day, opens) + timedelta(minutes=n)
        for day in days
        for opens in OPENS
        for n in range(length, 121, length)
    ]
    bars = np.zeros(len(ends), MINUTES)
    bars["date"] = [(end.year - 2004) * 2048 + end.month * 100 + end.day for end in ends]
    bars["minute"] = [end.hour * 60 + end.minute for end in ends]
    for name in ("open", "high", "low", "close"):
        bars[name] = 10
    bars["volume"], bars["amount"] = 137 * length, 1370 * length
    write(folder / f"vipdoc/sh/{place}", bars)


def write(file: Path, bars: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bars.tobytes())


@pytest.mark.soak
def test_days_and_five_minutes_alone_give_bars_of_5_to_60_minutes(quick_place: Place) -> None:
    folder = quick_place.folder / "client"
    for code in (CODE, *INDICES):
        write_days(folder, code)
    write_minutes(folder, f"fzline/{CODE}.lc5", list(DAYS), 5)
    client, address = str(folder), quick_place.settings["QUOTEMILL_WAREHOUSE_URL"]
    checked = quick_place.inside("loaders", "check", "tdx", QUOTEMILL_TDX__CLIENT=client)
    assert "five-minute bars of 1" in checked.stdout
    done = quick_place.inside("quotemill", "run", QUOTEMILL_TDX__CLIENT=client)
    assert done.returncode == 0, done.stderr
    with quotemill.open(url=address) as market:
        for freq, count in (("5m", 48), ("15m", 16), ("30m", 8), ("60m", 4)):
            for adjust in (None, "qfq", "hfq"):
                bars = market.klines("600011", freq=freq, adjust=adjust).to_arrow()
                assert bars.num_rows == count * len(DAYS)
                assert sum(bars["volume_shares"].to_pylist()) == SHARES * len(DAYS)
                assert set(bars["close"].to_pylist()) == {Decimal(10)}
                assert all(bars["is_final"].to_pylist())
        assert market.klines("880301").to_arrow().num_rows == len(DAYS)
        index = market.klines("sh000001").to_arrow()
        assert market.klines("999999").to_arrow() == index
        made = market.sql(MADE_OF).to_arrow().to_pylist()
        assert made == [{"trade_date": day, "source_minutes": 5, "bars": 48} for day in DAYS]
        assert market.sql(STOCKS).to_arrow()["stock_count"].to_pylist() == [1] * len(DAYS)

    # the minutes of the last day come later
    write_minutes(folder, f"minline/{CODE}.lc1", list(DAYS[-1:]), 1)
    done = quick_place.inside("quotemill", "run", QUOTEMILL_TDX__CLIENT=client)
    assert done.returncode == 0, done.stderr
    with quotemill.open(url=address) as market:
        made = market.sql(MADE_OF).to_arrow().to_pylist()
        assert [row["source_minutes"] for row in made] == [5] * (len(DAYS) - 1) + [1]
        assert {row["bars"] for row in made} == {48}


MADE_OF = """
    select trade_date, source_minutes, count(*) as bars
    from market.kline_5m group by 1, 2 order by 1
"""
STOCKS = (
    "select stock_count from quotemill_intermediate.int_market__breadth_by_bars order by trade_date"
)
