"""Standard expirations, monthly, quarterly and weekly, by the calendar of sessions.

The third Friday may be a holiday; then the session before it is the month's (2025-04-17,
2026-06-18).
"""

from calendar import FRIDAY, monthcalendar
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from functools import cache

from loaders.ib.slots import session_before, session_on

KINDS = ("monthly", "quarterly", "weekly")
QUARTERS = (3, 6, 9, 12)


@cache
def monthly(year: int, month: int) -> date:
    """The third Friday, or the session before where that is a holiday."""
    weeks = [week[FRIDAY] for week in monthcalendar(year, month) if week[FRIDAY]]
    friday = date(year, month, weeks[2])
    return friday if session_on(friday) else session_before(friday).trade_date


@cache
def quarterly(year: int, month: int) -> date:
    """The last session of a quarter's last month."""
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    return session_before(first_of_next).trade_date


def classify(expiry: date) -> set[str]:
    """The kinds of an expiration; any other session of a listed chain is a weekly one."""
    kinds = set()
    if expiry == monthly(expiry.year, expiry.month):
        kinds.add("monthly")
    if expiry.month in QUARTERS and expiry == quarterly(expiry.year, expiry.month):
        kinds.add("quarterly")
    return kinds or {"weekly"}


def choose(
    listed: Iterable[date], today: date, *, kinds: Collection[str], max_dte: int | None
) -> list[date]:
    """The listed expirations of some kinds, from today on, ascending."""
    last = today + timedelta(days=max_dte) if max_dte is not None else date.max
    return sorted(day for day in listed if today <= day <= last and classify(day) & set(kinds))
