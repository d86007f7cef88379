"""Values of the gateway: those that stand for "no value" become None, the others get their type.

Not received is NaN; -1 stands for no price, -2 for a greek that was not computed, the largest
double and the largest integers of 32, 64 and 128 bits for unset. 0 is a price of a bid (nobody
buys), and no price of a last trade. What a model computes as next to nothing is 0.
"""

import math
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from loaders.ib.slots import KNOWN_YEARS, date_in_new_york
from loaders.landing.no_value import is_unset

NOTHING_BELOW = 1e-100
NOT_COMPUTED = -2.0
PLACES = 6
MOST_PRICE = 10**7  # no share costs ten million dollars
_MOMENT = re.compile(r"(\d{8})[ -]+(\d\d:\d\d:\d\d)[ -]+(\S.*)")


def known(value: Any) -> float | None:
    """The number, unless it stands for one that was not received."""
    if is_unset(value, is_size=True) or math.isinf(value):
        return None
    return 0.0 if abs(value) < NOTHING_BELOW else float(value)


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
    if number is None or number < 0 or is_unset(round(number), is_size=True):
        return None
    return round(number)


def day(text: str) -> date | None:
    """The day of `20261218`, or in New York that of `20261219 05:00:00 Asia/Shanghai`.

    None of any other text: of a month, of a time in a zone that is not known, of a year that has no
    sessions.
    """
    try:
        if moment := _MOMENT.fullmatch(text):
            at = datetime.strptime(moment[1] + moment[2], "%Y%m%d%H:%M:%S")
            parsed = new_york_day(at.replace(tzinfo=ZoneInfo(moment[3])))
        elif len(text) == 8:
            parsed = datetime.strptime(text, "%Y%m%d").date()
        else:
            return None
    except (KeyError, ValueError, OSError, OverflowError):
        return None
    return parsed if parsed.year in KNOWN_YEARS else None


def new_york_day(at: date | datetime) -> date:
    """The day in New York of a day or a time, as the client library reads either.

    Raises TypeError for anything else.
    """
    if not isinstance(at, date):
        raise TypeError(f"not a day: {at!r}")
    return date_in_new_york(at) if isinstance(at, datetime) else at


def _decimal(value: float) -> Decimal:
    return Decimal(f"{value:.{PLACES}f}").normalize() + 0
