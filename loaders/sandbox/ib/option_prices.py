"""Volatility surface and Black-Scholes prices; rate 4 %, no dividends."""

import math
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist

RATE = 0.04
YEAR = 31_557_600  # seconds
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


def compute(spot: float, strike: float, right: str, years: float, iv: float) -> Computation:
    sd = iv * math.sqrt(years)
    d1 = (math.log(spot / strike) + (RATE + iv * iv / 2) * years) / sd
    sign, d2 = (1 if right == "C" else -1), d1 - sd
    discounted = strike * math.exp(-RATE * years)
    density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    price = sign * (spot * _normal.cdf(sign * d1) - discounted * _normal.cdf(sign * d2))
    decay = -spot * density * iv / (2 * math.sqrt(years))
    carry = sign * RATE * discounted * _normal.cdf(sign * d2)
    return Computation(
        iv=iv,
        delta=sign * _normal.cdf(sign * d1),
        price=max(0.0, price),
        dividends=0.0,
        gamma=density / (spot * sd),
        vega=spot * density * math.sqrt(years) / 100,
        theta=(decay - carry) / 365,
        underlying=spot,
    )
