"""When an option stops trading and when it expires, by what the gateway says of it.

`lastTradeDateOrContractMonth` is the last day of trading. The day of expiration is in the symbol of
the clearing corporation (`SPX   200117P03205000` trades until 2020-01-16, `VIX   230621C00017000`
until 2023-06-20; the option chain notebook of ib_insync). It is a later session for what settles at
the opening prices of its expiration: the monthly SPX, NDX and VIX
(cboe.com/tradable_products/sp_500/spx_options/specifications). All else settles at the close.
`realExpirationDate` and the trading class say the same; any of the three is enough.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from loaders.ib.client import clean
from loaders.ib.slots import NEW_YORK, session_after, session_before, session_on

Settlement = Literal["AM", "PM"]
# classes of which every option settles at the open
MORNING_CLASSES = ("SPX", "NDX", "VIX", "VIXW", "RUT", "DJX")
_CLEARING_SYMBOL = re.compile(r"(\d{6})[CP]\d{8}$")
_HOURS = re.compile(r"(\d{8}:\d{4})-(\d{8}:\d{4})")


@dataclass(frozen=True)
class Terms:
    """The end of an option.

    expiration_date  day of expiration; of AM the session after the last one with trading
    settlement       AM: at the opening prices of that day; PM: at its close
    expires_at       open or close of that day, UTC
    trades_until     HH:MM in New York at which a usual day of trading ends; None: not said
    """

    expiration_date: date
    settlement: Settlement
    expires_at: datetime
    trades_until: str | None = None


def read_terms(
    local_symbol: str,
    last_trade_date: date,
    *,
    trading_class: str = "",
    real_expiration: date | None = None,
    liquid_hours: str = "",
    time_zone: str = "",
) -> Terms:
    """The terms of an option by the fields of its contract details."""
    named = _read_expiration(local_symbol)
    expiration = named or last_trade_date
    if real_expiration is not None and session_on(real_expiration) is not None:
        expiration = max(expiration, real_expiration)
    is_morning = trading_class in MORNING_CLASSES
    if is_morning and named is None and expiration == last_trade_date:
        expiration = session_after(last_trade_date).trade_date
    session = session_on(expiration)
    trades_until = find_closing_time(liquid_hours, time_zone)
    if session is not None and (is_morning or last_trade_date < expiration):
        return Terms(expiration, "AM", session.open_at, trades_until)
    session = session or session_before(expiration)
    return Terms(expiration, "PM", session.close_at, trades_until)


def find_last_day(text: str, local_symbol: str, trading_class: str) -> date | None:
    """The last day of trading, in New York, by `lastTradeDateOrContractMonth`.

    Of an option that ends within two weeks that is the end of trading by the clock of the log-in:
    `20261219 05:00:00 Asia/Shanghai`. Where its zone is not known, the clearing symbol tells.
    """
    day, expiration = clean.day(text), _read_expiration(local_symbol)
    if day is not None or expiration is None:
        return day
    if trading_class in MORNING_CLASSES or session_on(expiration) is None:
        return session_before(expiration).trade_date
    return expiration


def find_closing_time(liquid_hours: str, time_zone: str) -> str | None:
    """The latest end of trading, HH:MM in New York: an early close is no usual day.

    `20191231:0830-20191231:1515;20200101:CLOSED` in US/Central is 16:15. Trading that does not go
    on at noon is that of a night, or a curb session.
    """
    try:
        zone = ZoneInfo(time_zone)
        spans = [
            [
                datetime.strptime(text, "%Y%m%d:%H%M").replace(tzinfo=zone).astimezone(NEW_YORK)
                for text in span
            ]
            for span in _HOURS.findall(liquid_hours)
        ]
    except (KeyError, ValueError, OSError):  # an unknown zone, or hours of another form
        return None
    ends = (end for start, end in spans if start < end.replace(hour=12, minute=0) < end)
    return max((f"{end:%H:%M}" for end in ends), default=None)


def _read_expiration(local_symbol: str) -> date | None:
    match = _CLEARING_SYMBOL.search(local_symbol)
    try:
        return datetime.strptime(match[1], "%y%m%d").date() if match else None
    except ValueError:
        return None
