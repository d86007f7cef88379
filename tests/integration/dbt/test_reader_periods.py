"""`import quotemill`: bars of weeks to years, and those of indices, folded as they are read."""

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from itertools import groupby, product
from typing import Any

import psycopg
import pytest

import quotemill
from loaders.trading_time import SHANGHAI
from quotemill.readers import bar_sources
from quotemill.warehouse.postgres import Warehouse
from tests.conftest import ROOT
from tests.integration.dbt.price_market import CODE, DAYS, PRICE_MARKET
from tests.integration.dbt.raw import bar, land, minute, session_minutes, weekdays

pytestmark = PRICE_MARKET

INDEX, OTHER = "sh000001", "sh600004"
LONG = weekdays(date(2023, 11, 27), 145)  # to 2024-06-14, two days before the last of DAYS
PERIODS: dict[str, Callable[[date], Any]] = {
    "1w": lambda day: day.isocalendar()[:2],
    "1mo": lambda day: (day.year, day.month),
    "1q": lambda day: (day.year, (day.month - 1) // 3),
    "1y": lambda day: day.year,
}
COUNTS = {"up_count": 1, "down_count": 2}


@pytest.fixture
def landed(warehouse: Warehouse) -> None:
    """A year's turn of days of a share and an index, and a day of its minutes."""
    with psycopg.connect(warehouse.url, autocommit=True) as conn:
        prices = [f"{7 + n % 11 / 10:.2f}" for n in range(len(LONG))]
        ends = [datetime.combine(day, time(15), SHANGHAI) for day in LONG]
        bars = [
            bar(OTHER, day, price, high=10_000 + n, low=5_000 - n)
            for n, (day, price) in enumerate(zip(LONG, prices, strict=True))
        ]
        land(conn, "kline_daily", bars)
        indices = [
            bar(INDEX, day, price, period="day", bar_end=end) | COUNTS
            for day, price, end in zip(LONG, prices, ends, strict=True)
        ]
        land(conn, "index_kline", indices)
        labels = session_minutes(DAYS[3])
        minutes = [
            minute(INDEX, at, f"{3000 + n}", period="minute1") | COUNTS
            for n, at in enumerate(labels)
        ]
        land(conn, "index_kline", minutes)


def fold(days: list[dict[str, Any]], freq: str, newest: date = DAYS[-1]) -> list[dict[str, Any]]:
    """Bars of a period from the bars of its days."""
    bars = []
    for period, group in groupby(days, lambda day: (day["code"], PERIODS[freq](day["trade_date"]))):
        held = list(group)
        bars.append(
            held[-1]
            | {
                "open": held[0]["open"],
                "high": max(day["high"] for day in held),
                "low": min(day["low"] for day in held),
                "volume_shares": sum(day["volume_shares"] for day in held),
                "amount_cny": sum(day["amount_cny"] for day in held),
                "is_final": PERIODS[freq](newest) != period[1],
            }
        )
    return bars


@pytest.mark.usefixtures("landed")
@pytest.mark.parametrize("freq", PERIODS)
def test_longer_bars_are_made_of_their_days(market: quotemill.Reader, freq: Any) -> None:
    cases: list[tuple[Any, Any]] = [(CODE, "none"), (CODE, "hfq"), (OTHER, "none")]
    if freq in ("1q", "1y"):  # else builds store them, which this market lacks
        cases += [(CODE, "qfq"), (INDEX, "none"), ([CODE, OTHER, INDEX], "hfq")]
    for codes, adjust in cases:
        days = list(market.klines(codes, adjust=adjust))
        bars = list(market.klines(codes, freq=freq, adjust=adjust))
        assert bars == fold(days, freq), (codes, adjust)
    others = fold(list(market.klines(OTHER)), freq)
    some = market.klines(OTHER, "2024-02-06", "2024-05-20", freq)
    assert list(some) == [
        longer for longer in others if date(2024, 2, 6) <= longer["trade_date"] <= date(2024, 5, 20)
    ]
    assert list(market.klines(OTHER, freq=freq, count=1)) == others[-1:]
    whole = market.klines(freq=freq, batches=True).read_all()
    assert whole.num_rows == len(others) + len(fold(list(market.klines(CODE)), freq))
    with pytest.raises(quotemill.Error, match=r"only has days.* 10:00"):
        market.klines(CODE, f"{DAYS[0]} 10:00", freq=freq)


@pytest.mark.usefixtures("landed")
def test_the_query_of_the_page_gives_the_bars_that_the_reader_gives(
    market: quotemill.Reader, conn: psycopg.Connection
) -> None:
    page = (ROOT / "docs/how-to/python.md").read_text("utf-8")
    [query] = [block for block in page.split("```") if "date_trunc('quarter'" in block]
    cases: list[tuple[str, str, Any]] = [
        (CODE, "kline_daily", "none"),
        (CODE, "kline_daily_hfq", "hfq"),
        (CODE, "kline_daily_qfq", "qfq"),
        (OTHER, "kline_daily", "none"),
        (INDEX, "index_kline_daily", "none"),
    ]
    units: list[tuple[str, Any]] = [("quarter", "1q"), ("year", "1y"), ("week", "1w")]
    for (code, table, adjust), (unit, freq) in product(cases, units):
        own = query.removeprefix("sql").replace("kline_daily_qfq", table).replace(CODE, code)
        rows = conn.execute(own.replace("'quarter'", f"'{unit}'").encode()).fetchall()
        if (code, freq) != (INDEX, "1w"):  # which this market has not
            bars = market.klines(code, freq=freq, adjust=adjust)
            assert rows == [tuple(bar.values())[:-1] for bar in bars]


def test_folded_weeks_equal_the_stored_ones(
    market: quotemill.Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = market.klines(CODE, freq="1w", adjust="qfq").to_arrow()
    known = market.klines(CODE, freq="1w", adjust="qfq", as_of=DAYS[6]).to_arrow()
    monkeypatch.setattr(bar_sources, "_STORED", {"1d": "daily", "1m": "minute"})
    assert market.klines(CODE, freq="1w", adjust="qfq").to_arrow() == stored
    assert market.klines(CODE, freq="1w", adjust="qfq", as_of=DAYS[6]).to_arrow() == known
    assert stored["is_final"].to_pylist() == [True, True, False]
    assert known["is_final"].to_pylist() == [True, False]


@pytest.mark.usefixtures("landed")
def test_longer_bars_as_of_a_day_end_with_it(market: quotemill.Reader) -> None:
    day = DAYS[6]
    cases: list[tuple[str, Any]] = [(CODE, "none"), (CODE, "hfq"), (INDEX, "none")]
    for code, adjust in cases:
        days = list(market.klines(code, adjust=adjust, end=day))
        for freq in PERIODS:
            bars = list(market.klines(code, freq=freq, adjust=adjust, as_of=day))
            assert bars == fold(days, freq, day), (code, adjust, freq)


@pytest.mark.usefixtures("landed")
def test_minutes_of_indices_make_longer_bars(market: quotemill.Reader) -> None:
    minutes = list(market.klines(INDEX, freq="1m"))
    lengths: list[tuple[Any, int]] = [("5m", 5), ("15m", 15), ("30m", 30), ("60m", 60)]
    for freq, length in lengths:
        bars = list(market.klines(INDEX, freq=freq))
        assert len(bars) == 240 // length
        for place, longer in enumerate(bars):
            held = minutes[place * length : (place + 1) * length]
            assert longer == held[-1] | {
                "open": held[0]["open"],
                "high": held[-1]["high"],
                "low": held[0]["low"],
                "amount_cny": sum(shorter["amount_cny"] for shorter in held),
            }
        morning = market.klines(INDEX, DAYS[3], f"{DAYS[3]} 11:30", freq)
        assert list(morning) == bars[: 120 // length]
        assert list(market.klines(INDEX, freq=freq, count=2)) == bars[-2:]


@pytest.mark.usefixtures("landed")
def test_shares_and_indices_come_in_one_call(market: quotemill.Reader) -> None:
    codes = [INDEX, CODE, OTHER]
    wordings: list[dict[str, Any]] = [{}, {"adjust": "hfq"}, {"end": DAYS[4]}, {"count": 3}]
    for words in wordings:
        together = list(market.klines(codes, **words))
        apart = [list(market.klines(code, **words)) for code in codes]
        assert together == [day for days in apart for day in days]
    assert {type(day["close"]) for day in together} == {Decimal}
    index, share = market.klines([CODE, INDEX], freq="5m", count=1)
    assert (index["code"], index["volume_shares"], index["bar_end"]) == (
        INDEX,
        None,
        share["bar_end"],
    )
    assert share["volume_shares"] == 5000
    assert market.klines(INDEX, adjust="qfq").to_arrow() == market.klines(INDEX).to_arrow()
