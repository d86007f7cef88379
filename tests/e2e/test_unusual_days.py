"""Client's folders with days that no calendar has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import psycopg
import pytest

from loaders.trading_time import published_days
from tests.client_folder import RECORD
from tests.conftest import shared_folder
from tests.e2e.commands import Place
from tests.homes import new_home

ERRORS = "select check_name, subject, trade_date::text from qa.findings where severity = 'error'"


@pytest.fixture
def cases() -> Path:
    return shared_folder("cases") / "tdx"


@contextmanager
def built(folder: Path, place: Path) -> Iterator[psycopg.Connection]:
    """The warehouse after the first `quotemill run`, with nothing configured but the folder."""
    with new_home() as home:
        commands = Place(place, home, {"QUOTEMILL_TDX__CLIENT": str(folder)})
        done = commands.forked("quotemill", "run")
        assert done.returncode == 0, done.stderr
        address = commands.forked("quotemill", "warehouse", "url").stdout.strip()
        with psycopg.connect(address) as conn:
            yield conn


def write_file(folder: Path, code: str, days: Sequence[date]) -> None:
    """Write day bars of one price each, a cent more day by day."""
    bars = np.zeros(len(days), RECORD)
    bars["day"] = [day.year * 10_000 + day.month * 100 + day.day for day in days]
    for name in ("open", "high", "low", "close"):
        bars[name] = 1000 + np.arange(len(days))
    bars["volume"], bars["amount"] = 100_000, bars["close"] * 1000
    file = folder / "vipdoc" / code[:2] / "lday" / f"{code}.day"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bars.tobytes())


def test_saturdays_of_a_real_stock_are_days_of_its_exchange(cases: Path, tmp_path: Path) -> None:
    with built(cases / "02-saturdays-of-1991", tmp_path) as market:
        assert market.execute(ERRORS).fetchall() == []
        counts = "select count(*), count(ret_1d) from market.daily_returns"
        assert market.execute(counts).fetchone() == (7_226, 7_225)
        monday = "select previous_bar_date, ret_1d from market.daily_returns where trade_date = %s"
        [(before, change)] = market.execute(monday, (date(1991, 4, 8),))
        assert (before, change) == (date(1991, 4, 6), Decimal("-0.0049710025"))
        own = "select count(*), min(exchanges) from market.trading_calendar where source = 'bars'"
        assert market.execute(own).fetchone() == (39, "sz")


def test_each_exchange_has_its_own_days_beside_both_indices(tmp_path: Path) -> None:
    """The index of Shanghai is the calendar, so its load once refused Shenzhen's Saturdays."""
    common = published_days(date(1990, 12, 19), date(1995, 12, 29))
    saturdays = [date(1992, 3, 7) + timedelta(weeks=n) for n in range(5)]
    first = [date(1990, 12, 10), date(1990, 12, 11)]
    shut = published_days(date(1995, 2, 6), date(1995, 2, 10))
    own = sorted({*common, *saturdays, *first} - {*shut})
    stocks = ("sz000002", "sz000004", "sz000005")
    for code in ("sh000001", "sh600601"):
        write_file(tmp_path / "client", code, common)
    for code in stocks:
        write_file(tmp_path / "client", code, own)
    write_file(tmp_path / "client", "sz399001", own[2:])

    with built(tmp_path / "client", tmp_path) as market:
        assert market.execute(ERRORS).fetchall() == []
        returns = market.execute(
            "select code, count(*) from market.daily_returns group by 1 order by 1"
        )
        in_sz = [(code, len(own)) for code in stocks]
        assert returns.fetchall() == [("sh600601", len(common)), *in_sz]
        index = "select count(*) from market.index_kline_daily where code = 'sz399001'"
        assert market.execute(index).fetchone() == (len(own) - 2,)
        calendar = market.execute(
            "select array_agg(trade_date order by trade_date) filter (where exchanges = 'sz'), "
            "array_agg(trade_date order by trade_date) filter (where is_served), "
            "max(trade_day_number) filter (where is_served) from market.trading_calendar"
        )
        assert calendar.fetchone() == (sorted([*first, *saturdays]), [*common], len(common))
