"""Standard expirations, monthly, quarterly and weekly, by the calendar of sessions.

The third Friday may be a holiday; then the session before it is the month's (2025-04-17,
2026-06-18).

The gateway lists an option by its last day of trading. Of an index, what settles at the open of its
expiration is listed on the session before: SPX on the Thursday before the third Friday, which its
class does not list too (SPXW and XSP list it: they trade until its close). VIX expires 30 days
before the third Friday of the next month, on a Wednesday, or a session earlier where one of both is
a holiday (cboe.com/tradable_products/vix/vix_options/specifications).
"""

from calendar import FRIDAY, monthcalendar
from collections.abc import Collection
from datetime import date, timedelta
from functools import cache

from loaders.ib.slots import session_after, session_before, session_on

KINDS = ("monthly", "quarterly", "weekly")
VIX = "VIX"
QUARTERS = (3, 6, 9, 12)


@cache
def monthly(year: int, month: int) -> date:
    """The third Friday, or the session before where that is a holiday."""
    friday = _third_friday(year, month)
    return friday if session_on(friday) else session_before(friday).trade_date


def _third_friday(year: int, month: int) -> date:
    weeks = [week[FRIDAY] for week in monthcalendar(year, month) if week[FRIDAY]]
    return date(year, month, weeks[2])


@cache
def quarterly(year: int, month: int) -> date:
    """The last session of a quarter's last month."""
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    return session_before(first_of_next).trade_date


@cache
def monthly_of_vix(year: int, month: int) -> date:
    """30 days before the third Friday of the next month, or the session before."""
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    friday = _third_friday(first_of_next.year, first_of_next.month)
    wednesday = friday - timedelta(days=30)
    if session_on(wednesday) and session_on(friday):
        return wednesday
    return session_before(wednesday).trade_date


def classify(expiry: date, index: str | None = None) -> set[str]:
    """The kinds of an expiration; any other session of a listed chain is a weekly one."""
    kinds = set()
    month = monthly_of_vix if index == VIX else monthly
    if expiry == month(expiry.year, expiry.month):
        kinds.add("monthly")
    if expiry.month in QUARTERS and expiry == quarterly(expiry.year, expiry.month):
        kinds.add("quarterly")
    return kinds or {"weekly"}


def choose(
    listed: Collection[date],
    today: date,
    *,
    kinds: Collection[str],
    max_dte: int | None,
    index: str | None = None,
) -> list[date]:
    """The listed expirations of some kinds, from today on, ascending.

    `index` is the symbol of an index, some of whose options are listed on the session before.
    """
    last = today + timedelta(days=max_dte) if max_dte is not None else date.max

    def find_kinds(day: date) -> set[str]:
        following = session_after(day).trade_date
        is_before = index is not None and following not in listed
        if is_before and "monthly" in (kinds_then := classify(following, index)):
            return kinds_then
        return classify(day, index)

    return sorted(day for day in listed if today <= day <= last and find_kinds(day) & set(kinds))
