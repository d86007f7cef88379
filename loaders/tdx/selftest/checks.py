"""The table of the self-test's 31 checks, one for each route of the service.

Each has its request, and what must hold for its answer by the service's reference.
loaders.tdx.selftest.run sends the requests and makes a row of each check.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

from loaders.requests.http import RetryableAnswer
from loaders.tdx.selftest import conditions as answer
from loaders.tdx.selftest.conditions import (
    CALENDAR,
    PULL_KLINE,
    PULL_TRADE,
    Facts,
    Seen,
    days,
    is_whole,
    times,
)
from quotemill.instrument_ranges import COMPOSITE

STOCK = "sz000001"
STOCKS = (STOCK, "sh600000", "sz000002")
# what a condition raises for an answer of another shape
WRONG_SHAPE = (KeyError, TypeError, ValueError, IndexError, AttributeError)


class NotPassed(RetryableAnswer):
    """The reason why a check did not pass.

    kind: timeout, connection, http, json, envelope or assertion.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True)
class Route:
    """A route that the self-test checks: its request, and what its answer must be.

    rows: the name of the list in the answer; empty for an answer without one, `.` for the answer.
    says: what the answer must have, in words.
    params: the query of a GET, the JSON body of a POST.
    needs: facts that earlier checks must have learned.
    newer: a field that tells the contract of April 2026, its list where it is one, then `says` and
        `holds` by that contract; None if it is the same. Each request has the words of both.
    """

    route: str
    rows: str
    says: str
    holds: Callable[[Seen], bool]
    params: Callable[[Facts], dict[str, Any]] = lambda _: {}
    method: str = "GET"
    bulk: bool = False
    needs: tuple[str, ...] = ()
    name: str = ""
    no: int = 0
    newer: tuple[str, str, Callable[[Seen], bool]] | None = None

    def path(self, facts: Facts) -> str:
        """The request's path, with the task's id filled in."""
        return f"/api/{self.route}".format(task=facts.tasks.get(PULL_TRADE, ""))

    def spoken(self, data: Any) -> tuple[str, "Route"]:
        """The build whose contract the answer has, and the check by it."""
        if self.newer is None:
            return "both", self
        if not (isinstance(data, dict) and self.newer[0] in data):
            return "2025-11", self
        rows, says, holds = self.newer
        listed = rows if isinstance(data[rows], list) else ""
        return "2026-04", replace(self, rows=listed, says=says, holds=holds)

    def judge(self, data: Any, facts: Facts) -> int | None:
        """Return the number of rows, None without a list. Raises NotPassed."""
        count: int | None = None
        try:
            # the service writes null for no rows
            rows = (data if self.rows == "." else data[self.rows] or []) if self.rows else []
            count = len(rows) if self.rows and isinstance(rows, list) else None
            if isinstance(rows, list) and self.holds(Seen(rows, data, facts)):
                return count
        except WRONG_SHAPE:
            pass
        came = "" if count is None else f", got {count} rows"
        raise NotPassed("assertion", f"expected {self.says}{came}")


def fixed(**params: Any) -> Callable[[Facts], dict[str, Any]]:
    return lambda _: params


def on_day(**params: Any) -> Callable[[Facts], dict[str, Any]]:
    """Parameters of a request for the previous trading day."""
    return lambda facts: {"code": STOCK, "date": facts.day_text, **params}


def _minutes_on_day(facts: Facts) -> dict[str, Any]:
    day = facts.day_text
    return {"code": STOCK, "date": day, "full_code": STOCK, "trading_date": day}


def _last_days(facts: Facts) -> dict[str, Any]:
    start = facts.today - timedelta(days=30)
    return {"start": f"{start:%Y%m%d}", "end": f"{facts.today:%Y%m%d}"}


def _two_months(facts: Facts) -> dict[str, Any]:
    start = facts.today - timedelta(days=60)
    return {"code": STOCK, "start_date": f"{start:%Y%m%d}", "days": "5,10"}


def _one_day(facts: Facts) -> dict[str, Any]:
    return {"code": STOCK, "start_date": facts.day_text, "end_date": facts.day_text, "limit": "500"}


def _this_year(facts: Facts) -> dict[str, Any]:
    return {"code": STOCK, "start_year": facts.today.year, "end_year": facts.today.year}


_DAY = ("day",)
_TEN_DAYS = {"full_code": STOCK, "frequency": "day", "adjust_mode": "bfq", "count": "10"}
_BARS = fixed(code=STOCK, type="day", limit="50")
_IN_ORDER = (
    Route("health", "", "status healthy", lambda seen: seen.data["status"] == "healthy"),
    Route("server-status", "", "status running", lambda seen: seen.data["status"] == "running"),
    Route(
        "quote",
        ".",
        "two quotes in the order of the request, K.Last above 0",
        lambda seen: answer.quotes_of(STOCKS[:2], seen),
        fixed(code=",".join(STOCKS[:2]), full_code=STOCK),
        newer=(
            "bids",
            f"a quote of {STOCK}, prev_close above 0",
            lambda seen: seen.data["full_code"] == STOCK and seen.data["prev_close"] > 0,
        ),
    ),
    Route(
        "batch-quote",
        ".",
        "three quotes in the order of the request, K.Last above 0",
        lambda seen: answer.quotes_of(STOCKS, seen),
        fixed(codes=list(STOCKS), full_codes=list(STOCKS)),
        method="POST",
        newer=(
            "items",
            "three quotes in the order of the request, prev_close above 0",
            answer.three_in_yuan(STOCKS),
        ),
    ),
    Route(
        "kline",
        "List",
        "bars in ascending order up to the last five trading days",
        answer.new_enough,
        fixed(code=STOCK, type="day"),
        needs=_DAY,
    ),
    Route(
        "kline-history",
        "List",
        "10 bars",
        lambda seen: len(times(seen.rows)) == 10,
        fixed(code=STOCK, type="minute5", limit="10", **_TEN_DAYS),
        newer=("items", "10 days", lambda seen: is_whole(seen) and len(seen.rows) == 10),
    ),
    Route(
        "kline-all",
        "list",
        "1 to 50 bars with turnover, as many as count, and meta.source tdx",
        answer.history("tdx", 50),
        _BARS,
        bulk=True,
    ),
    Route(
        "kline-all/tdx",
        "list",
        "1 to 10 bars with turnover, as many as count, and meta.source tdx",
        answer.history("tdx", 10),
        fixed(code=STOCK, type="week", limit="10"),
        bulk=True,
    ),
    Route(
        "kline-all/ths",
        "list",
        "1 to 50 bars, as many as count, and meta.source ths",
        answer.history("ths", 50),
        _BARS,
        bulk=True,
    ),
    Route(
        "index",
        "List",
        "10 bars, UpCount + DownCount above 0 on the last full day",
        answer.ten_with_members,
        fixed(code=COMPOSITE, type="day", limit="10"),
    ),
    Route(
        "index/all",
        "list",
        "12 bars, as many as count",
        lambda seen: is_whole(seen) and len(times(seen.rows)) == 12,
        fixed(code=COMPOSITE, type="month", limit="12"),
        bulk=True,
    ),
    Route(
        "minute",
        "List",
        "240 minutes up to 15:00, as many as Count",
        lambda seen: (
            is_whole(seen, "Count") and len(seen.rows) == 240 and seen.rows[-1]["Time"] == "15:00"
        ),
        _minutes_on_day,
        needs=_DAY,
        newer=("items", "240 minutes of the day up to 15:00, as many as count", answer.whole_day),
    ),
    Route(
        "trade",
        "List",
        "ticks in ascending order",
        lambda seen: bool(seen.rows) and all(a <= b for a, b in pairwise(times(seen.rows))),
        on_day(),
        needs=_DAY,
    ),
    Route(
        "trade-history",
        "List",
        "a page of 200 ticks",
        lambda seen: len(times(seen.rows)) == 200,
        on_day(count="200"),
        needs=_DAY,
    ),
    Route(
        "minute-trade-all",
        "List",
        "at least the 200 ticks of a page",
        lambda seen: len(times(seen.rows)) >= 200,
        on_day(),
        needs=_DAY,
    ),
    Route(
        "trade-history/full",
        "list",
        "at most 500 ticks, as many as count, and the day in covered_dates",
        lambda seen: (
            is_whole(seen)
            and len(times(seen.rows, "time")) <= 500
            and seen.data["covered_dates"] == [seen.facts.day_text]
        ),
        _one_day,
        bulk=True,
        needs=_DAY,
    ),
    Route(
        "search",
        ".",
        f"the code {STOCK[2:]}",
        lambda seen: STOCK[2:] in [row["code"] for row in seen.rows],
        fixed(keyword=STOCK[2:]),
        newer=(
            "list",
            f"the code {STOCK[2:]}",
            lambda seen: STOCK[2:] in [row["code"] for row in seen.rows],
        ),
    ),
    Route(
        "stock-info",
        "",
        "two parts of quote, kline_day and minute",
        # the service leaves out a part whose source failed
        lambda seen: len(seen.data.keys() & {"quote", "kline_day", "minute"}) >= 2,
        fixed(code=STOCK),
    ),
    Route(
        "codes",
        "codes",
        "codes, as many as total",
        lambda seen: is_whole(seen, "total") and bool(seen.rows),
        fixed(exchange="sh"),
    ),
    Route(
        "stock-codes",
        "list",
        "10 codes with an exchange, as many as count",
        answer.ten_prefixed,
        fixed(limit="10"),
    ),
    Route(
        "etf-codes",
        "list",
        "10 codes with an exchange, as many as count",
        answer.ten_prefixed,
        fixed(limit="10"),
    ),
    Route(
        "etf",
        "list",
        "5 funds of sh, as many as total",
        lambda seen: (
            is_whole(seen, "total") and [row["exchange"] for row in seen.rows] == ["sh"] * 5
        ),
        fixed(exchange="sh", limit="5"),
    ),
    Route(
        "market-stats",
        "",
        "sh.total and sz.total above 0",
        lambda seen: seen.data["sh"]["total"] > 0 and seen.data["sz"]["total"] > 0,
        newer=(
            "status",
            "sh.total and sz.total above 0 while its status is live or stale",
            lambda seen: (
                seen.data["status"] not in ("live", "stale")
                or (seen.data["sh"]["total"] > 0 and seen.data["sz"]["total"] > 0)
            ),
        ),
    ),
    Route(
        "market-count", "exchanges", "sh, sz and bj, and total as their sum", answer.sum_of_three
    ),
    Route(
        CALENDAR,
        "previous",
        "a date and 6 previous trading days",
        lambda seen: len(days(seen.rows)) == 6 and bool(days([seen.data["date"]])),
        fixed(count="6"),
    ),
    Route(
        "workday/range",
        "list",
        "at least 10 trading days in 30 days",
        lambda seen: len(days(seen.rows)) >= 10,
        _last_days,
        bulk=True,
    ),
    Route(
        "income",
        "list",
        "returns, as many as count",
        lambda seen: is_whole(seen) and bool(seen.rows),
        _two_months,
    ),
    Route(
        "tasks/pull-kline",
        "",
        "a UUID as task_id",
        answer.is_uuid,
        fixed(codes=[STOCK], tables=["day"]),
        method="POST",
        name=PULL_KLINE,
    ),
    Route(
        "tasks/pull-trade",
        "",
        "a UUID as task_id",
        answer.is_uuid,
        _this_year,
        method="POST",
        name=PULL_TRADE,
    ),
    Route(
        "tasks",
        ".",
        "both started tasks",
        lambda seen: set(seen.facts.tasks.values()) <= {row["id"] for row in seen.rows},
        needs=(PULL_KLINE, PULL_TRADE),
        name="task_list",
    ),
    Route(
        "tasks/{task}",
        "",
        "the id of the started task, and a status",
        lambda seen: (
            seen.data["id"] == seen.facts.tasks[PULL_TRADE] and isinstance(seen.data["status"], str)
        ),
        needs=(PULL_TRADE,),
        name="task_get_cancel",
    ),
)
CHECKS = tuple(
    replace(check, no=no, name=check.name or re.sub("[-/]", "_", check.route))
    for no, check in enumerate(_IN_ORDER, start=1)
)
