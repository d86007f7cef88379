"""Forwards and volatilities that the models imply, against a reference solver."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import psycopg
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from tests.integration.dbt.conftest import Dbt
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_options import (
    NEW_YORK,
    Option,
    Row,
    Session,
    land_contracts,
    land_sessions,
    quote,
)

pytestmark = pytest.mark.usefixtures("models")
DAY = Session(date(2026, 11, 16))
RATE, VOLATILITY, SPOT = 0.04, 0.22, 5000.0  # so that prices of six digits are exact
DAYS = (2, 7, 30, 91, 182, 365, 730)
BUILD = ("run", "--select", "forwards", "chain_daily_clean", "int_option_smiles__interpolated")
COLUMNS = "conid, iv_from_bid, iv_from_mid, iv_from_ask, data_quality_flag"


@dataclass(frozen=True)
class Stock:
    """A name whose options have this yield, present value of dividends and exercise."""

    symbol: str
    dividend_yield: float = 0.0
    dividends: float = 0.0
    is_american: bool = False

    def forward(self, years: float) -> float:
        return (SPOT - self.dividends) * float(np.exp((RATE - self.dividend_yield) * years))

    def price(self, strike: float, right: str, years: float) -> float:
        european = black(self.forward(years), strike, right, years, VOLATILITY)
        if not self.is_american:
            return european
        # the error of the tree cancels in the difference
        values = [
            tree(self.dividend_yield, strike, right, years, steps=steps) for steps in (400, 401)
        ]
        return european + sum(american - other for american, other in values) / 2


def black(forward: float, strike: float, right: str, years: float, iv: float) -> float:
    sign, width = 1 if right == "C" else -1, iv * np.sqrt(years)
    d1 = np.log(forward / strike) / width + width / 2
    value = forward * norm.cdf(sign * d1) - strike * norm.cdf(sign * (d1 - width))
    return float(sign * np.exp(-RATE * years) * value)


def tree(
    dividend_yield: float, strike: float, right: str, years: float, *, steps: int
) -> tuple[float, float]:
    """American and European price by a binomial tree."""
    sign, step = 1 if right == "C" else -1, years / steps
    up = np.exp(VOLATILITY * np.sqrt(step))
    chance = (np.exp((RATE - dividend_yield) * step) - 1 / up) / (up - 1 / up)
    discount = np.exp(-RATE * step)
    prices = SPOT * up ** (2.0 * np.arange(steps + 1) - steps)
    american = european = np.maximum(sign * (prices - strike), 0)
    for _ in range(steps):
        prices = prices[:-1] * up
        european = discount * (chance * european[1:] + (1 - chance) * european[:-1])
        american = discount * (chance * american[1:] + (1 - chance) * american[:-1])
        american = np.maximum(american, sign * (prices - strike))
    return float(american[0]), float(european[0])


def years_to(expiry: date) -> float:
    end = datetime.combine(expiry, time(16), NEW_YORK)
    return (end - DAY.at(DAY.slots - 1)).total_seconds() / 86400 / 365


def quotes(stock: Stock, first: int) -> Iterator[tuple[Option, Row]]:
    """A chain of each expiry, from three deviations below the forward to three above."""
    for days in DAYS:
        expiry = DAY.day + timedelta(days)
        years = years_to(expiry)
        for part in np.arange(-6, 7) / 2:
            away = part * VOLATILITY * np.sqrt(years)
            strike = round(float(stock.forward(years) * np.exp(away)), 4)
            for right in "CP":
                option = Option(first, stock.symbol, expiry, strike, right)
                first += 1
                price = stock.price(strike, right, years)
                near = {"bid": 0.99 * price, "ask": 1.01 * price, "pv_dividend": 0}
                yield option, quote(option, DAY, DAY.slots - 1, SPOT, iv=VOLATILITY, **near)


def reference(stock: Stock, option: Option, price: float) -> float:
    """The volatility of a price on the true forward, by bisection."""
    years = years_to(option.expiry)

    def miss(iv: float) -> float:
        return black(stock.forward(years), option.strike, option.right, years, iv) - price

    return float(brentq(miss, 1e-3, 5, xtol=1e-10))


def forward_side(stock: Stock, option: Option) -> bool:
    """Whether the option is out of the money, by more than rounding."""
    distance = option.strike / stock.forward(years_to(option.expiry)) - 1
    return distance > 1e-6 if option.right == "C" else distance < -1e-6


def deviations(stock: Stock, option: Option) -> float:
    """The distance from the forward to the strike in standard deviations."""
    years = years_to(option.expiry)
    return abs(float(np.log(option.strike / stock.forward(years)) / VOLATILITY / np.sqrt(years)))


STOCKS = {
    stock.symbol: stock
    for stock in (
        Stock("EURO"),
        Stock("YIELD", dividend_yield=0.04),
        Stock("CASH", dividends=60.0),
        Stock("AMERICAN", is_american=True),
        Stock("BOTH", dividend_yield=0.04, is_american=True),
    )
}


def test_volatilities_from_prices_are_those_of_a_reference_solver(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    chains = [row for n, stock in enumerate(STOCKS.values()) for row in quotes(stock, 1000 * n + 1)]
    by_conid = {option.conid: (option, row) for option, row in chains}
    land_sessions(conn, [DAY])
    land(conn, "raw_ib.underlying", [underlying(stock) for stock in STOCKS.values()])
    land_contracts(conn, DAY, [option for option, _ in chains])
    land(conn, "raw_ib.chain_snapshot", [row for _, row in chains])

    assert dbt(*BUILD).success

    worst: dict[tuple[object, ...], float] = defaultdict(float)
    for conid, *ivs, flags in conn.execute(f"select {COLUMNS} from options.chain_daily_clean"):
        option, row = by_conid[conid]
        stock = STOCKS[option.symbol]
        if not forward_side(stock, option):
            continue
        wanted = [reference(stock, option, float(str(row[name]))) for name in ("bid", "ask")]
        if stock.is_american:  # by the volatility that the tree was given
            ivs, wanted = ivs[1:2], [VOLATILITY]
        else:
            wanted.insert(1, VOLATILITY)
        miss = max(abs(iv - other) for iv, other in zip(ivs, wanted, strict=True))
        days = (option.expiry - DAY.day).days
        bucket = "near" if deviations(stock, option) < 1.1 else "far"
        is_flagged = "american_premium" in flags
        key = option.symbol, days, bucket, is_flagged
        worst[key] = max(worst[key], miss)
        assert not (is_flagged and not stock.is_american)
    print(*(f"{key}: {miss:.1e}" for key, miss in sorted(worst.items())), sep="\n")
    assert {key: miss for key, miss in worst.items() if not key[-1] and miss > 1e-4} == {}
    assert {key: miss for key, miss in worst.items() if key[2] == "near" and miss > 1e-3} == {}
    assert {key[:2] for key in worst if key[-1]} == {
        *(("AMERICAN", days) for days in DAYS),
        *(("BOTH", days) for days in DAYS[3:]),
    }
    # one volatility for all strikes and expiries is a flat surface
    for query in (
        "select abs(atm_iv - 0.22) from options.atm_term_structure where symbol <> 'AMERICAN'",
        "select abs(iv - 0.22) from options.constant_maturity_iv where symbol <> 'AMERICAN'",
        "select greatest(abs(skew), abs(butterfly)) from options.skew_25delta "
        "where symbol in ('EURO', 'YIELD', 'CASH')",
    ):
        misses = [float(miss) for (miss,) in conn.execute(query.encode())]
        assert len(misses) >= 12
        assert max(misses) < 5e-4


def test_extreme_figures_end_no_build(conn: psycopg.Connection) -> None:
    grid = {
        "m": (1e-300, 1.1e-6, 1e-3, 0.5, 1, 1.0001, 2, 9e5, 1e300),
        "r": (-1, 0, 1.1e-8, 1e-6, 1e-3, 0.04, 1, 49, 1e300),
        "c": (-1e300, -49, -10, -1, -0.04, -1e-6, 0, 1e-6, 0.04, 1, 10, 49, 1e300),
        "w": (0, 1.01e-4, 1e-3, 0.01, 0.3, 1, 10, 49, 1e300),
        "x": (-1e300, -99, -1, -0.1, -1e-8, -1e-16, 0, 1),
        "b": (-1, 0, 1.1e-12, 1e-6, 1e-3, 0.5, 0.99, 1, 1e300),
    }

    def worst(call: str) -> tuple[float, float]:
        """The least and the greatest value of a function on the grid of its arguments."""
        names = call.partition("(")[2].rstrip(")").split(", ")
        values = (f"unnest(array{list(grid[name])}::float8[]) as {name}" for name in names)
        [row] = conn.execute(
            f"select min(v), max(v) from {', '.join(values)}, "
            f"quotemill_intermediate.{call} as v".encode()
        )
        return row

    least, greatest = worst("early_exercise(m, r, c, w)")
    assert 0 <= least <= greatest <= 1
    least, greatest = worst("implied_deviation(x, b)")
    assert 0 < least <= greatest < 1000


def underlying(stock: Stock) -> Row:
    kind = "STK" if stock.is_american else "IND"
    return {
        "symbol": stock.symbol,
        "conid": 1,
        "exchange": "SMART",
        "currency": "USD",
        "sec_type": kind,
    }
