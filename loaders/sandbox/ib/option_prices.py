"""Volatility surface, Black-Scholes prices, and early exercise by a tree; rate 4 %."""

import math
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

RATE = 0.04
YEAR = 31_557_600  # seconds
STEPS = 24  # of the tree
Dividends = tuple[tuple[float, float], ...]  # years until the ex-date, dollars a share
_normal = NormalDist()


@dataclass(frozen=True)
class Computation:
    """Price and greeks.

    iv: implied volatility, a fraction a year
    vega: for one percentage point of volatility
    theta: for one calendar day
    """

    iv: float
    delta: float
    price: float
    dividends: float
    gamma: float
    vega: float
    theta: float
    underlying: float


def years_between(now: datetime, end: datetime) -> float:
    return max((end - now).total_seconds() / YEAR, 1e-6)


def volatility(base: float, strike: float, spot: float, years: float) -> float:
    """A smile skewed to low strikes, flatter the longer the option runs; at least 5 %."""
    m = math.log(strike / spot)
    level = base * (1 + 0.1 * math.exp(-4 * years))
    return max(0.05, level - 0.18 * m / math.sqrt(years + 0.15) + 0.25 * m * m)


def compute(
    spot: float,
    option: tuple[float, str, float],
    iv: float,
    *,
    dividends: Dividends = (),
    is_american: bool = False,
) -> Computation:
    """Price and greeks of an option (strike, right, years)."""
    strike, right, years = option
    paid = sum(amount * math.exp(-RATE * at) for at, amount in dividends)
    rest = spot - paid
    sd = iv * math.sqrt(years)
    d1 = (math.log(rest / strike) + (RATE + iv * iv / 2) * years) / sd
    sign, d2 = (1 if right == "C" else -1), d1 - sd
    discounted = strike * math.exp(-RATE * years)
    density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    price = sign * (rest * _normal.cdf(sign * d1) - discounted * _normal.cdf(sign * d2))
    if is_american:
        price += early_exercise(rest, option, iv, dividends)
        price = max(price, sign * (spot - strike))
    decay = -rest * density * iv / (2 * math.sqrt(years))
    carry = sign * RATE * discounted * _normal.cdf(sign * d2)
    return Computation(
        iv=iv,
        delta=sign * _normal.cdf(sign * d1),
        price=max(0.0, price),
        dividends=paid,
        gamma=density / (rest * sd),
        vega=rest * density * math.sqrt(years) / 100,
        theta=(decay - carry) / 365,
        underlying=spot,
    )


@lru_cache(50_000)
def early_exercise(
    rest: float, option: tuple[float, str, float], iv: float, dividends: Dividends
) -> float:
    """American less European price by a binomial tree of the price without its dividends."""
    strike, right, years = option
    sign = 1 if right == "C" else -1
    if sign > 0 and not dividends:
        return 0.0  # a right that nobody uses
    step = years / STEPS
    up = math.exp(iv * math.sqrt(step))
    chance = (math.exp(RATE * step) - 1 / up) / (up - 1 / up)
    if not 0 < chance < 1:
        return 0.0
    discount, future = math.exp(-RATE * step), 0.0
    higher, lower = discount * chance, discount * (1 - chance)
    paid = [0.0] * STEPS
    for at, amount in dividends:
        place = min(round(at / step), STEPS - 1)
        paid[place] += amount * math.exp(RATE * (place * step - at))
    prices = [rest * up ** (2 * n - STEPS) for n in range(STEPS + 1)]
    european = [max(0.0, sign * (price - strike)) for price in prices]
    american = european
    for n in reversed(range(STEPS)):
        future *= discount
        # a call is exercised before the stock is without its dividend, a put after that
        worth = future + (paid[n] if sign > 0 else 0.0) - strike
        future += paid[n]
        prices = [price * up for price in prices[:-1]]
        european = [higher * b + lower * a for a, b in pairwise(european)]
        held = [higher * b + lower * a for a, b in pairwise(american)]
        american = [max(a, sign * (price + worth)) for a, price in zip(held, prices, strict=True)]
    return american[0] - european[0]
