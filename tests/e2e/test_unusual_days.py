"""Client's folders with days that no calendar has, and with days without a trade."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from loaders.trading_time import published_days
from tests.client_folder import RECORD
from tests.conftest import shared_folder
from tests.e2e.conftest import Build

ERRORS = "select check_name, subject, trade_date::text from qa.findings where severity = 'error'"


@pytest.fixture
def cases() -> Path:
    return shared_folder("cases") / "tdx"


def write_file(
    folder: Path, code: str, days: Sequence[date], turnover: float | None = None
) -> None:
    """Write day bars of one price each, a cent more day by day.

    With a `turnover` the third and fourth have no share and that turnover.
    """
    bars = np.zeros(len(days), RECORD)
    bars["day"] = [day.year * 10_000 + day.month * 100 + day.day for day in days]
    for name in ("open", "high", "low", "close"):
        bars[name] = 1000 + np.arange(len(days))
    bars["volume"], bars["amount"] = 100_000, bars["close"] * 1000
    if turnover is not None:
        bars["volume"][2:4], bars["amount"][2:4] = 0, turnover
    file = folder / "vipdoc" / code[:2] / "lday" / f"{code}.day"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bars.tobytes())


@pytest.mark.soak
def test_saturdays_of_a_real_stock_are_days_of_its_exchange(cases: Path, build: Build) -> None:
    market = build(cases / "02-saturdays-of-1991")
    assert market.execute(ERRORS).fetchall() == []
    counts = "select count(*), count(ret_1d) from market.daily_returns"
    assert market.execute(counts).fetchone() == (7_226, 7_225)
    monday = "select previous_bar_date, ret_1d from market.daily_returns where trade_date = %s"
    [(before, change)] = market.execute(monday, (date(1991, 4, 8),))
    assert (before, change) == (date(1991, 4, 6), Decimal("-0.0049710025"))
    own = "select count(*), min(exchanges) from market.trading_calendar where source = 'bars'"
    assert market.execute(own).fetchone() == (39, "sz")


@pytest.mark.soak
def test_a_saturday_of_shanghai_is_a_day_and_a_stray_record_is_none(
    tmp_path: Path, build: Build
) -> None:
    common = published_days(date(1992, 3, 2), date(1992, 6, 30))
    saturday, stray = date(1992, 5, 16), date(1992, 5, 23)
    for code in ("sh000001", "sh600601", "sh600602", "sh600604"):
        write_file(tmp_path / "client", code, sorted({*common, saturday}))
    write_file(tmp_path / "client", "sh600606", sorted({*common, saturday, stray}))
    market = build(tmp_path / "client")
    assert market.execute(ERRORS).fetchall() == []
    own = "select trade_date, exchanges from market.trading_calendar where source = 'bars'"
    assert market.execute(own).fetchall() == [(saturday, "sh")]
    bars = "select count(*) from market.kline_daily where trade_date = any(%s)"
    assert market.execute(bars, ([saturday, stray],)).fetchone() == (4,)
    monday = "select previous_bar_date from market.daily_returns where trade_date = %s"
    assert {*market.execute(monday, (date(1992, 5, 18),))} == {(saturday,)}


def test_each_exchange_has_its_own_days_beside_both_indices(tmp_path: Path, build: Build) -> None:
    """The index of Shanghai is the calendar, so its load once refused Shenzhen's Saturdays."""
    common = published_days(date(1990, 12, 19), date(1995, 12, 29))
    saturdays = [date(1992, 3, 7) + timedelta(weeks=n) for n in range(5)]
    first = [date(1990, 12, 10), date(1990, 12, 11)]
    shut = published_days(date(1995, 2, 6), date(1995, 2, 10))
    own = sorted({*common, *saturdays, *first} - {*shut})
    stocks = ("sz000002", "sz000004", "sz000005")
    extra = date(1994, 3, 5)  # a Saturday of Shanghai, on which one of four stocks did not trade
    traders = ("sh600602", "sh600603", "sh600604")
    write_file(tmp_path / "client", "sh600601", common)
    for code in ("sh000001", *traders):
        write_file(tmp_path / "client", code, sorted([*common, extra]))
    for code in stocks:
        write_file(tmp_path / "client", code, own)
    write_file(tmp_path / "client", "sz399001", own[2:])

    market = build(tmp_path / "client")
    assert market.execute(ERRORS).fetchall() == []
    returns = market.execute(
        "select code, count(*) from market.daily_returns group by 1 order by 1"
    )
    in_sz = [(code, len(own)) for code in stocks]
    in_sh = [("sh600601", len(common)), *((code, len(common) + 1) for code in traders)]
    assert returns.fetchall() == [*in_sh, *in_sz]
    index = "select count(*) from market.index_kline_daily where code = 'sz399001'"
    assert market.execute(index).fetchone() == (len(own) - 2,)
    calendar = market.execute(
        "select array_agg(trade_date order by trade_date) filter (where exchanges = 'sz'), "
        "array_agg(trade_date order by trade_date) filter (where is_served), "
        "max(trade_day_number) filter (where is_served) from market.trading_calendar"
    )
    assert calendar.fetchone() == (sorted([*first, *saturdays]), [*common], len(common))
    in_sh_alone = "select trade_date from market.trading_calendar where exchanges = 'sh'"
    assert market.execute(in_sh_alone).fetchall() == [(extra,)]


@pytest.mark.soak
def test_odd_shares_of_a_real_folder_reach_its_readers(cases: Path, build: Build) -> None:
    market = build(cases / "05-odd-shares")
    days = market.execute(
        "select code, trade_date::text, volume_shares from market.kline_daily "
        "where (code, trade_date) in (('bj920555', '2026-09-01'), ('bj920555', '2026-09-02'), "
        "('bj920777', '2026-11-25'), ('sh502000', '2016-01-04'), ('sh688555', '2026-09-01'))"
    )
    assert {(code, day): shares for code, day, shares in days} == {
        ("bj920555", "2026-09-01"): 151,
        ("bj920555", "2026-09-02"): 50,
        ("bj920777", "2026-11-25"): 32_880,
        ("sh502000", "2016-01-04"): 5,
        ("sh688555", "2026-09-01"): 20_377,
    }
    for bars in ("kline_minute_raw", "kline_5m", "kline_60m"):
        total = f"select sum(volume_shares) from market.{bars} where trade_date = '2026-11-25'"
        assert market.execute(total.encode()).fetchone() == (32_880,)
    flags = "select volume_flag, count(*) from market.kline_daily group by 1"
    assert market.execute(flags).fetchall() == [("ok", 574)]


def test_rows_without_a_trade_are_a_suspension(cases: Path, build: Build) -> None:
    market = build(cases / "08-suspended-flat-rows")
    assert market.execute(ERRORS).fetchall() == []
    landed = "select count(*) from raw_tdx.kline_daily where volume = 0"
    assert market.execute(landed).fetchone() == (11,)
    suspended = market.execute(
        "select code, last_bar_date::text, trade_date::text, day_count from market.suspensions"
    )
    assert suspended.fetchall() == [("sh600568", "2018-05-31", "2018-06-19", 11)]
    after = market.execute(
        "select previous_bar_date::text, ret_1d from market.daily_returns "
        "where trade_date between '2018-06-01' and '2018-06-19'"
    )
    assert after.fetchall() == [("2018-05-31", round(Decimal(650) / 656 - 1, 10))]
    figures = market.execute(
        "select previous_close from market.daily_basic where trade_date = '2018-06-19'"
    )
    assert figures.fetchone() == (Decimal("6.560"),)
    weeks = market.execute(
        "select week_start::text, bar_count from market.kline_weekly_qfq "
        "where week_start between '2018-05-28' and '2018-06-18'"
    )
    assert sorted(weeks) == [("2018-05-28", 4), ("2018-06-18", 4)]
    breadth = market.execute(
        "select trade_date::text, flat_count, suspended_count "
        "from market.market_stats_snapshot "
        "where trade_date between '2018-06-15' and '2018-06-19' and exchange = 'sh'"
    )
    assert sorted(breadth) == [("2018-06-15", 0, 1), ("2018-06-19", 0, 0)]


@pytest.mark.soak
def test_funds_and_b_shares_without_a_trade_are_suspended_and_a_few_shares_are_one(
    tmp_path: Path, build: Build
) -> None:
    days = published_days(date(2013, 6, 3), date(2013, 6, 28))
    for code, turnover in {
        "sh000001": None,
        "sh900901": 0.0,
        "sz200002": 5.877472e-39,
        "sh510300": 0.0,
        "sz000011": 500.0,  # fewer shares than a hand
    }.items():
        write_file(tmp_path / "client", code, days, turnover)

    market = build(tmp_path / "client")
    assert market.execute(ERRORS).fetchall() == []
    suspended = market.execute(
        "select code, last_bar_date, trade_date, day_count from market.suspensions order by 1"
    )
    stretch = (days[1], days[4], 2)
    assert suspended.fetchall() == [
        ("sh510300", *stretch),
        ("sh900901", *stretch),
        ("sz200002", *stretch),
    ]
    bars = market.execute("select code, count(*) from market.kline_daily group by 1 order by 1")
    assert [count for _, count in bars] == [
        len(days) - 2,
        len(days) - 2,
        len(days),
        len(days) - 2,
    ]
    monthly = "select sum(bar_count) from market.kline_monthly_qfq where code = 'sh510300'"
    assert market.execute(monthly).fetchone() == (len(days) - 2,)


def test_suspended_days_have_no_minute_and_an_index_needs_no_volume(
    cases: Path, build: Build
) -> None:
    within = "select count(*) from market.{} where trade_date between '2025-05-26' and '2025-06-09'"
    market = build(cases / "30-minutes-of-suspended-days")
    for table in ("kline_minute_raw", "kline_5m", "kline_15m", "kline_30m", "kline_60m"):
        inside = market.execute(f"{within.format(table)} and code = 'sh688041'".encode())
        assert inside.fetchone() == (0,), table
        assert market.execute(f"select 1 from market.{table} limit 1".encode()).fetchall()
    days = "select count(*) from market.index_kline_daily where code = 'sz980017'"
    assert market.execute(days).fetchone() == (29,)
