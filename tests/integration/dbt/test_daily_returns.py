"""Returns, dividend yields and extremes equal a separate computation, in any order of changes."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import prod
from random import Random
from typing import Any

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import action, bar, land, security, touch, trading_day, weekdays
from tests.integration.dbt.real_market import REAL_MARKET

pytestmark = MODELS

CODES = ("sh600000", "sz000002", "sh510300")
DAYS = weekdays(date(2022, 1, 3), 560)
SEGMENTS = "+adjustment_segments,config.materialized:followed"
BUILD = ("run", "-s", SEGMENTS, "int_daily_returns__computed", "kline_daily_qfq")
Row = tuple[Any, ...]
Event = tuple[date, Fraction, Fraction, Fraction]


def rounded(value: Fraction, places: int) -> Decimal:
    """Half away from zero."""
    scaled = value * 10**places
    whole = int(abs(scaled) + Fraction(1, 2))
    return Decimal(whole if scaled >= 0 else -whole).scaleb(-places)


@dataclass
class Market:
    """The rows in the warehouse, and the same in dictionaries."""

    conn: psycopg.Connection
    bars: dict[tuple[str, date], dict[str, Any]] = field(default_factory=dict)
    actions: dict[tuple[str, date], dict[str, Any]] = field(default_factory=dict)
    days: set[date] = field(default_factory=set)

    def open_days(self, days: list[date]) -> None:
        self.days.update(days)
        land(self.conn, "trading_day", [trading_day(day) for day in days])

    def trade(self, bars: list[tuple[str, date, int, int, int]]) -> None:
        """Bars of a code and day with low, high and close in fen."""
        rows = {
            (code, day): bar(code, day, "10", low=low * 10, high=high * 10)
            | {"open": close * 10, "close": close * 10}
            for code, day, low, high, close in bars
        }
        self.bars |= rows
        land(self.conn, "kline_daily", rows.values())

    def delete(self, code: str, day: date) -> None:
        del self.bars[code, day]
        self.conn.execute(
            "delete from raw_tdx.kline_daily where code = %s and trade_date = %s", (code, day)
        )
        touch(self.conn, "kline_daily", code)

    def pay(self, code: str, day: date, **what: Any) -> None:
        row = action(code, day, **what)
        self.actions[code, day] = row
        land(self.conn, "corporate_action", [row])

    def close_day(self, day: date) -> None:
        self.days.discard(day)
        self.conn.execute("delete from raw_tdx.trading_day where trade_date = %s", (day,))
        touch(self.conn, "trading_day")

    def events(self, code: str) -> list[Event]:
        """Ex-date, m, c and cash per share of each event in force, the oldest first."""
        newest = max(day for _, day in self.bars if day in self.days)
        rows = sorted((day, row) for (c, day), row in self.actions.items() if c == code)
        return [
            (
                day,
                1 + Fraction(row["bonus_total_per10"]) / 10 + Fraction(row["rights_per10"]) / 10,
                Fraction(row["cash_per10_yuan"]) / 10
                - Fraction(row["rights_per10"]) * Fraction(row["rights_price_yuan"]) / 10,
                Fraction(row["cash_per10_yuan"]) / 10,
            )
            for day, row in rows
            if day <= newest and not row["is_withdrawn"]
        ]

    def expected(self) -> list[Row]:
        return [row for code in sorted(CODES) for row in self._expected_of(code)]

    def _expected_of(self, code: str) -> list[Row]:
        events, decimals = self.events(code), 3 if code == "sh510300" else 2
        rows = [row for (c, _), row in self.actions.items() if c == code]
        is_known = any(not row["is_withdrawn"] for row in rows)
        traded = sorted(day for c, day in self.bars if c == code and day in self.days)
        made: list[Row] = []
        for at, day in enumerate(traded):
            year = [d for d in traded[: at + 1] if d > day - timedelta(365)]
            highs = [in_terms(events, self.price(code, d, "high"), (d, None)) for d in year]
            lows = [in_terms(events, self.price(code, d, "low"), (d, None)) for d in year]
            close, cash, gain = self.price(code, day, "close"), Fraction(0), None
            for ex_date, _, _, paid in events:
                if day - timedelta(365) < ex_date <= day:
                    since = [m for other, m, _, _ in events if ex_date <= other <= day]
                    cash += paid / prod(since)
            if at:
                last = in_terms(
                    events, self.price(code, traded[at - 1], "close"), (traded[at - 1], day)
                )
                gain = rounded(close / last - 1, 10)
            made.append(
                (
                    code,
                    day,
                    traded[at - 1] if at else None,
                    gain,
                    rounded(cash / close, 10) if is_known else None,
                    rounded(max(highs), decimals),
                    rounded(min(lows), decimals),
                )
            )
        return made

    def price(self, code: str, day: date, name: str) -> Fraction:
        return Fraction(self.bars[code, day][name], 1000)


def in_terms(events: list[Event], price: Fraction, days: tuple[date, date | None]) -> Fraction:
    """The price of the first of `days` in the terms of the second, event by event."""
    for ex_date, m, c, _ in events:
        if days[0] < ex_date and (days[1] is None or ex_date <= days[1]):
            price = (price - c) / m
    return price


def built(conn: psycopg.Connection) -> list[Row]:
    return conn.execute(
        "select code, trade_date, previous_bar_date, ret_1d, dividend_yield_1y, high_52w_qfq, "
        "low_52w_qfq from market.daily_returns order by code, trade_date"
    ).fetchall()


def change(market: Market, random: Random, at: int) -> None:
    """Some of what can happen before a build: new days, late, wrong and gone bars, events."""
    code = random.choice(CODES)
    what = random.random()
    past = DAYS[random.randrange(max(at - 30, 0), at)]
    close = random.randint(800, 1200)
    if what < 0.35:
        low, high = close - random.randint(0, 60), close + random.randint(0, 60)
        market.trade([(code, past, low, high, close)])
    elif what < 0.5:
        stored = sorted(market.bars)
        if len(stored) > 40:
            market.delete(*random.choice(stored))
    elif what < 0.85:
        # after two of many decimals prices have too many for an integer
        bonus = random.choice(("0", "0", "2", "10", "3.00000007"))
        rights = random.choice(("0", "0", "3"))
        ex_date = DAYS[min(random.randrange(at + 6), len(DAYS) - 1)]
        market.pay(
            code,
            ex_date,
            cash_per10_yuan=random.choice(("0.7", "1.35")),
            bonus_total_per10=bonus,
            rights_per10=rights,
            rights_price_yuan="5.5",
            is_withdrawn=random.random() < 0.2,
        )
    elif what < 0.93:
        market.close_day(past)
    else:
        market.open_days([past])


@pytest.mark.long
@pytest.mark.parametrize(
    "seeds", [pytest.param(1, id="few"), pytest.param(40, marks=pytest.mark.soak, id="many")]
)
def test_any_changes_in_any_order_give_the_figures_of_those_stored(
    seeds: int, conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "security", [security(c, "fund" if c == "sh510300" else "stock") for c in CODES])
    for seed in range(seeds):
        conn.execute("truncate raw_tdx.kline_daily, raw_tdx.corporate_action, raw_tdx.trading_day")
        for table in ("kline_daily", "corporate_action", "trading_day"):
            touch(conn, table)
        market, random, at = Market(conn), Random(seed), 3
        for number in range(8):
            # each fourth build opens a year at once
            ends = at + (240 if number in (2, 6) else random.randint(1, 4))
            market.open_days(DAYS[at:ends] if at > 3 else DAYS[:ends])
            bars = []
            for code in CODES:
                # of a long span many bars are missing
                for day in DAYS[at if at > 3 else 0 : ends]:
                    if ends - at < 10 or random.random() < 0.3:
                        low, high = sorted(random.randint(800, 1200) for _ in range(2))
                        bars.append((code, day, low, high, random.randint(low, high)))
            market.trade(bars)
            at = ends
            for _ in range(random.randint(0, 4)):
                change(market, random, at)
            dbt(*BUILD)
            assert built(conn) == market.expected(), (seed, number)
        as_they_came = built(conn)
        assert set(dbt(*BUILD).written.values()) == {0}
        assert dbt("run", "--full-refresh", "-s", BUILD[3]).written == {BUILD[3]: 0}
        assert built(conn) == as_they_came


@REAL_MARKET
def test_real_returns_and_yields_are_those_computed_by_hand(warehouse: Warehouse) -> None:
    with psycopg.connect(warehouse.url) as conn:

        def figures(day: str) -> Row:
            [row] = conn.execute(
                "select previous_bar_date, ret_1d, dividend_yield_1y from market.daily_returns "
                "where code = 'sh600000' and trade_date = %s",
                (day,),
            )
            return row

        # 0.15 yuan and 3 for 10 shares: 13.70 against (18.50 - 0.15) / 1.3
        assert figures("2010-06-10")[:2] == (date(2010, 6, 9), Decimal("-0.0294277929"))
        # 0.16 yuan and 3 for 10: 10.09 against (13.21 - 0.16) / 1.3; the year has both dividends
        both = (Fraction(15, 100) / Fraction(169, 100) + Fraction(16, 130)) / Fraction("10.09")
        assert figures("2011-06-03") == (
            date(2011, 6, 2),
            Decimal("0.0051340996"),
            rounded(both, 10),
        )
        # the company's figures: 0.16 yuan for 14,348.82 million shares, 18,653.47 million at 8.73
        [paid] = figures("2011-12-06")[2:]
        company = Decimal("0.16") * Decimal("14348.82") / (Decimal("8.73") * Decimal("18653.47"))
        assert abs(paid - company) < Decimal("0.000001")

        # against what the warehouse shows elsewhere, all of both codes
        [(days, otherwise)] = conn.execute(
            "select count(*), count(*) filter (where abs(r.ret_1d - b.change_percent / 100) "
            "> 0.006 / b.previous_close * (1 + abs(r.ret_1d))) "
            "from market.daily_returns as r join market.daily_basic as b using (code, trade_date) "
            "where b.previous_close is not null"
        )
        assert days > 7_800
        assert otherwise == 0
        [(years, wrong)] = conn.execute(
            "select count(*), count(*) filter (where (r.high_52w_qfq, r.low_52w_qfq) <> ("
            "select max(k.high), min(k.low) from market.kline_daily_qfq as k "
            "where k.code = r.code and k.trade_date <= r.trade_date "
            "and k.trade_date > r.trade_date - 365)) from market.daily_returns as r "
            "where r.trade_date >= '2009-01-01' or r.trade_date < '1995-01-01'"
        )
        assert years > 1_500
        assert wrong == 0
