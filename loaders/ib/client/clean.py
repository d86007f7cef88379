"""Values of the gateway: those that stand for "no value" become None, the others get their type.

Not received is NaN; -1 stands for no price, -2 for a greek that was not computed, the largest
double and the largest integer for unset. 0 is a price of a bid (nobody buys), and no price of a
last trade. What a model computes as next to nothing is 0.
"""

import math
from datetime import date, datetime
from decimal import Decimal

UNSET_ABOVE = 1e300
NOTHING_BELOW = 1e-100
UNSET_INTEGER = 2_147_483_647
NOT_COMPUTED = -2.0
PLACES = 6
MOST_PRICE = 10**7  # no share costs ten million dollars


def known(value: float | None) -> float | None:
    """The number, unless it stands for one that was not received."""
    if value is None or math.isnan(value) or abs(value) > UNSET_ABOVE:
        return None
    if abs(value) < NOTHING_BELOW:
        return 0.0
    return None if value == UNSET_INTEGER else float(value)


def price(value: float | None) -> Decimal | None:
    """Dollars a share, 0 included."""
    number = known(value)
    return None if number is None or number < 0 else _decimal(number)


def traded_price(value: float | None) -> Decimal | None:
    """As `price`, of a trade: 0 means that there was none."""
    return price(value) or None


def strike(value: float | None) -> Decimal | None:
    return traded_price(value)


def volatility(value: float | None) -> float | None:
    number = known(value)
    return number if number is not None and number > 0 else None


def greek(value: float | None) -> float | None:
    number = known(value)
    return None if number == NOT_COMPUTED else number


def count(value: float | None) -> int | None:
    """Contracts or shares, 0 included."""
    number = known(value)
    if number is None or number < 0 or round(number) == UNSET_INTEGER:
        return None
    return round(number)


def day(text: str) -> date | None:
    """The day of a text, which an hour and a zone may follow; None of any other, as of a month."""
    if len(text) < 8:
        return None
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()
    except ValueError:
        return None


def _decimal(value: float) -> Decimal:
    return Decimal(f"{value:.{PLACES}f}").normalize() + 0
