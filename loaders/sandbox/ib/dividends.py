"""Dividends of the stocks: quarterly, but of every fourth stock and of an index; special ones.

Special dividends are in the prices of options, not in what tick 59 announces.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from loaders.sandbox.ib.hours import ET, FIRST_DAY, is_session
from loaders.sandbox.ib.option_prices import Dividends, years_between
from loaders.sandbox.ib.stocks import Stock, parse_event, rnd
from quotemill.errors import UsageError

QUARTER = 3  # months
SPARE = 4  # of so many stocks one pays none
AHEAD = timedelta(days=365)


@dataclass(frozen=True)
class Special:
    """A dividend of `amount` dollars a share, beside the quarterly ones."""

    symbol: str
    ex_date: date
    amount: float


def parse_special(text: str) -> Special:
    """Read SYMBOL:YYYY-MM-DD:DOLLARS; raises UsageError."""
    special = Special(*parse_event("dividend", text, number=float, example="AAPL:2026-12-01:5.00"))
    if not 0 < special.amount < 10_000:
        raise UsageError(f"dividend {text!r}: the amount must be above 0 dollars")
    return special


def quarterly_amount(stock: Stock) -> float:
    """Dollars a share; 0 of a stock that pays none."""
    if stock.is_index or stock.number % SPARE == SPARE - 1:
        return 0.0
    return round(stock.price * (0.002 + 0.006 * rnd("yield", stock.symbol)), 2)


def ex_dates(stock: Stock, first: date, last: date) -> list[date]:
    """The ex-dates from one day to another, both included: sessions about the tenth."""
    if not quarterly_amount(stock):
        return []
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    days = []
    for month in months:
        if month % QUARTER == stock.number % QUARTER:
            day = date(month // 12, month % 12 + 1, 10)
            while not is_session(day):
                day += timedelta(days=1)
            days.append(day)
    return [day for day in days if max(first, FIRST_DAY) <= day <= last]


def until(stock: Stock, now: datetime, last: date, specials: tuple[Special, ...] = ()) -> Dividends:
    """(years until the midnight before the ex-date, dollars) of dividends to come until a day."""
    amount = quarterly_amount(stock)
    days = [(day, amount) for day in ex_dates(stock, now.date() + timedelta(days=1), last)]
    days += [
        (special.ex_date, special.amount)
        for special in specials
        if special.symbol == stock.symbol and now.date() < special.ex_date <= last
    ]
    return tuple(
        (years_between(now, datetime.combine(day, time(), ET)), dollars)
        for day, dollars in sorted(days)
    )


def describe(stock: Stock, today: date) -> str:
    """The value of tick 59: past and next twelve months, next ex-date, its amount."""
    amount = quarterly_amount(stock)
    past = ex_dates(stock, today - AHEAD, today)
    ahead = ex_dates(stock, today + timedelta(days=1), today + AHEAD)
    if not ahead:
        return ",,,"
    sums = f"{len(past) * amount:.2f},{len(ahead) * amount:.2f}"
    return f"{sums},{ahead[0]:%Y%m%d},{amount:.2f}"
