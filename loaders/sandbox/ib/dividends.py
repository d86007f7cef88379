"""Quarterly dividends of the stocks: every fourth stock pays none, nor does an index."""

from datetime import date, timedelta

from loaders.sandbox.ib.hours import FIRST_DAY, is_session
from loaders.sandbox.ib.stocks import Stock, rnd

QUARTER = 3  # months
SPARE = 4  # of so many stocks one pays none
AHEAD = timedelta(days=365)


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


def describe(stock: Stock, today: date) -> str:
    """The value of tick 59: past and next twelve months, next ex-date, its amount."""
    amount = quarterly_amount(stock)
    past = ex_dates(stock, today - AHEAD, today)
    ahead = ex_dates(stock, today + timedelta(days=1), today + AHEAD)
    if not ahead:
        return ",,,"
    sums = f"{len(past) * amount:.2f},{len(ahead) * amount:.2f}"
    return f"{sums},{ahead[0]:%Y%m%d},{amount:.2f}"
