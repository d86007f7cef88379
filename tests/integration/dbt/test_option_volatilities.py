"""Forwards and volatilities that the models imply, against a reference solver."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import psycopg
import pytest
from scipy.special import ndtr

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_options import Option, Session, land_sessions

pytestmark = MODELS
DAY = Session(date(2026, 11, 16))
RATE, VOLATILITY, SPOT = 0.04, 0.22, 5000.0  # so that prices of six digits are exact
DAYS = (2, 7, 30, 91, 365, 730)
DEVIATIONS = (-3, -1.5, -0.3, 0, 0.3, 1.5, 3)  # of the strikes from the forward
BUILD = ("run", "--select", "forwards", "chain_daily_clean", "int_option_smiles__interpolated")
COLUMNS = "conid, iv_from_bid, iv_from_mid, iv_from_ask, iv_flag"
QUARTERS = [date(2026 + n // 4, 3 * (n % 4) + 3, 14) for n in range(3, 14)]  # 28 days from now
Prices = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stock:
    """A name whose options have this yield, dividends and exercise.

    amount: dollars of a dividend on each of ex_dates
    is_announced: whether the source says the dates
    """

    symbol: str
    dividend_yield: float = 0.0
    amount: float = 0.0
    is_american: bool = True
    ex_dates: Sequence[date] = tuple(QUARTERS)
    is_announced: bool = True

    def ex_years(self, expiry: date) -> list[float]:
        if not self.amount:
            return []
        return [
            years_to(expiry) - ((expiry - day).days + 2 / 3) / 365
            for day in self.ex_dates
            if day <= expiry
        ]

    def pv_dividend(self, expiry: date) -> float:
        return sum(self.amount * float(np.exp(-RATE * at)) for at in self.ex_years(expiry))

    def forward(self, expiry: date) -> float:
        growth = np.exp((RATE - self.dividend_yield) * years_to(expiry))
        return (SPOT - self.pv_dividend(expiry)) * float(growth)

    def prices(self, expiry: date, strikes: Prices, sign: int) -> Prices:
        years = years_to(expiry)
        return black(self.forward(expiry), strikes, sign, years=years, iv=VOLATILITY)

    @cached_property
    def row(self) -> dict[str, object]:
        """What the source announces."""
        following = self.ex_dates[0] if self.amount and self.is_announced else None
        return {
            "symbol": self.symbol,
            "trade_date": DAY.day,
            "past_12_months": None,
            "next_12_months": 4 * self.amount,
            "next_ex_date": following,
            "next_amount": self.amount if following else None,
        }


def black(forward: float, strikes: Prices, sign: int, *, years: float, iv: float) -> Prices:
    width = iv * np.sqrt(years)
    d1 = np.log(forward / strikes) / width + width / 2
    value = forward * ndtr(sign * d1) - strikes * ndtr(sign * (d1 - width))
    return np.asarray(sign * np.exp(-RATE * years) * value)


def years_to(expiry: date) -> float:
    end = datetime.combine(expiry, time(16), Session.ZONE)
    return (end - DAY.at(DAY.slots - 1)).total_seconds() / 86400 / 365


def quotes(stock: Stock, first: int) -> Iterator[tuple[Option, dict[str, object]]]:
    """A chain of each expiry, from three deviations below the forward to three above."""
    for days in DAYS:
        expiry = DAY.day + timedelta(days)
        width = VOLATILITY * np.sqrt(years_to(expiry))
        strikes = np.round(stock.forward(expiry) * np.exp(np.array(DEVIATIONS) * width), 4)
        for right in "CP":
            prices = stock.prices(expiry, strikes, 1 if right == "C" else -1)
            for strike, price in zip(strikes, prices, strict=True):
                option = Option(first, stock.symbol, expiry, float(strike), right)
                first += 1
                near = {
                    "bid": 0.99 * float(price),
                    "ask": 1.01 * float(price),
                    "captured_at": DAY.at(DAY.slots - 1),
                    "pv_dividend": stock.pv_dividend(expiry),
                }
                yield option, option.quote(DAY, DAY.slots - 1, SPOT, iv=VOLATILITY, **near)


def reference(stock: Stock, option: Option, price: float) -> float:
    """The volatility of a price on the true forward, by bisection."""
    from scipy.optimize import brentq  # a second's import, in each process that collects

    years, sign = years_to(option.expiry), 1 if option.right == "C" else -1
    forward, strikes = stock.forward(option.expiry), np.array([option.strike])

    def miss(iv: float) -> float:
        return float(black(forward, strikes, sign, years=years, iv=iv)[0]) - price

    return float(brentq(miss, 1e-3, 5, xtol=1e-10))


def forward_side(stock: Stock, option: Option) -> bool:
    """Whether the option is out of the money, by more than rounding."""
    distance = option.strike / stock.forward(option.expiry) - 1
    return distance > 1e-6 if option.right == "C" else distance < -1e-6


STOCKS = {
    stock.symbol: stock
    for stock in (
        Stock("EURO", is_american=False),
        Stock("YIELD", dividend_yield=0.04, is_american=False),
        Stock("CASH", amount=60.0, is_american=False),
        Stock("AMERICAN"),
        Stock("PAYER", amount=25.0),
        Stock("SPECIAL", amount=100.0, ex_dates=(date(2026, 12, 1),), is_announced=False),
    )
}


@pytest.mark.long
def test_volatilities_from_prices_are_those_of_a_reference_solver(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    chains = [row for n, stock in enumerate(STOCKS.values()) for row in quotes(stock, 1000 * n + 1)]
    by_conid = {option.conid: (option, row) for option, row in chains}
    land_sessions(conn, [DAY])
    land(conn, "raw_ib.underlying", [underlying(stock) for stock in STOCKS.values()])
    land(conn, "raw_ib.underlying_dividends", [stock.row for stock in STOCKS.values()])
    DAY.land_contracts(conn, [option for option, _ in chains])
    land(conn, "raw_ib.chain_snapshot", [row for _, row in chains])

    dbt(*BUILD)

    worst: dict[tuple[str, int], float] = defaultdict(float)
    flagged: dict[tuple[str, int], set[str]] = {}
    for conid, bid, mid, ask, flags in conn.execute(
        f"select {COLUMNS} from options.chain_daily_clean"
    ):
        option, row = by_conid[conid]
        stock = STOCKS[option.symbol]
        key = option.symbol, (option.expiry - DAY.day).days
        if stock.is_american:
            flagged[key] = set(flags)
            assert (bid, mid, ask) == (None, None, None)
        elif forward_side(stock, option):
            flagged[key] = set(flags) - {"few_pairs"}
            wanted = [reference(stock, option, float(str(row[name]))) for name in ("bid", "ask")]
            for iv, other in zip((bid, mid, ask), (wanted[0], VOLATILITY, wanted[1]), strict=True):
                worst[key] = max(worst[key], abs(iv - other))
    print(*(f"{key}: {miss:.1e} {sorted(flagged[key])}" for key, miss in worst.items()), sep="\n")
    assert {key: miss for key, miss in worst.items() if miss > 1e-4} == {}
    for symbol in ("EURO", "CASH", "AMERICAN", "PAYER"):
        assert [flagged[symbol, days] for days in DAYS] == [set()] * len(DAYS)
    assert {days for days in DAYS if "dividend_mismatch" in flagged["SPECIAL", days]} == set(
        DAYS[2:]
    )
    # of an American option by the dividends of the source's model
    for symbol, expiry, forward, method in conn.execute(
        "select symbol, expiry, forward::float8, method from options.forwards"
    ):
        stock = STOCKS[symbol]
        assert method == ("pv_dividend" if stock.is_american else "parity")
        assert abs(forward / stock.forward(expiry) - 1) < 1e-4, (symbol, expiry)
    # one volatility for all strikes and expiries is a flat surface
    for query in (
        "select abs(atm_iv - 0.22) from options.atm_term_structure",
        "select abs(iv - 0.22) from options.constant_maturity_iv",
        "select greatest(abs(skew), abs(butterfly)) from options.skew_25delta",
    ):
        misses = conn.execute(query.encode()).fetchall()
        assert len(misses) >= 12
        assert max(float(miss) for (miss,) in misses) < 1e-3


def test_extreme_figures_end_no_build(conn: psycopg.Connection) -> None:
    dice = random.Random(7)
    figures = (-1e300, -49, -0.1, -1e-8, 0, 1e-300, 1e-6, 0.003, 0.04, 0.3, 1, 15, 99, 101, 1e300)
    call = "select quotemill_intermediate.implied_deviation(%s::float8, %s::float8)"
    for _ in range(500):
        values = [dice.choice(figures) for _ in "xb"]
        [[value]] = conn.execute(call, values)
        assert value is None or abs(value) < 1e12, values


def underlying(stock: Stock) -> dict[str, object]:
    kind = "STK" if stock.is_american else "IND"
    return {
        "symbol": stock.symbol,
        "conid": 1,
        "exchange": "SMART",
        "currency": "USD",
        "sec_type": kind,
    }
