"""The table of the self-test's 31 checks, one for each route of the service.

Each has its request and its condition. loaders.tdx.selftest.runner sends the requests,
loaders.tdx.selftest.conditions judges the answers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from loaders.tdx.selftest import conditions as answer
from loaders.tdx.selftest.conditions import PULL_KLINE, PULL_TRADE, STOCK, STOCKS, Condition, Facts

INDEX = "sh000001"
Params = Callable[[Facts], dict[str, Any]]


def nothing(_: Facts) -> dict[str, Any]:
    return {}


def fixed(**params: Any) -> Params:
    return lambda _: params


def on_day(**params: Any) -> Params:
    """Parameters of a request for the previous trading day."""
    return lambda facts: {"code": STOCK, "date": facts.day_text, **params}


@dataclass(frozen=True)
class Check:
    """One check of the self-test.

    params: the query of a GET, the JSON body of a POST.
    needs: facts that earlier checks must have learned.
    volatile: paths of parts that come and go with the time of day; the shape leaves them out.
    starts: the kind of task that the request starts.
    cancels: the kind of task that is cancelled after the request.
    """

    no: int
    name: str
    path: str
    holds: Condition
    params: Params = nothing
    method: str = "GET"
    bulk: bool = False
    needs: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()
    in_envelope: bool = True
    starts: str | None = None
    cancels: str | None = None

    def at(self, facts: Facts) -> str:
        """The request's path, with the task's id filled in."""
        return self.path.format(task=facts.tasks.get(self.cancels or "", ""))


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
CALENDAR = Check(
    25, "workday", "/api/workday", answer.three_days_before, fixed(count="3"), volatile=("next",)
)
CHECKS = (
    Check(1, "health", "/api/health", answer.says("healthy"), in_envelope=False),
    Check(2, "server_status", "/api/server-status", answer.says("running")),
    Check(3, "quote", "/api/quote", answer.quotes_of(STOCKS[:2]), fixed(code=",".join(STOCKS[:2]))),
    Check(
        4,
        "batch_quote",
        "/api/batch-quote",
        answer.quotes_of(STOCKS),
        fixed(codes=list(STOCKS)),
        "POST",
    ),
    Check(
        5, "kline", "/api/kline", answer.adjusted_days, fixed(code=STOCK, type="day"), needs=_DAY
    ),
    Check(
        6,
        "kline_history",
        "/api/kline-history",
        answer.exactly(10),
        fixed(code=STOCK, type="minute5", limit="10"),
    ),
    Check(
        7,
        "kline_all",
        "/api/kline-all",
        answer.history("tdx", 50),
        fixed(code=STOCK, type="day", limit="50"),
        bulk=True,
    ),
    Check(
        8,
        "kline_all_tdx",
        "/api/kline-all/tdx",
        answer.history("tdx", 10),
        fixed(code=STOCK, type="week", limit="10"),
        bulk=True,
    ),
    Check(
        9,
        "kline_all_ths",
        "/api/kline-all/ths",
        answer.history("ths", 50),
        fixed(code=STOCK, type="day", limit="50"),
        bulk=True,
    ),
    Check(10, "index", "/api/index", answer.index_days, fixed(code=INDEX, type="day", limit="10")),
    Check(
        11,
        "index_all",
        "/api/index/all",
        answer.index_months,
        fixed(code=INDEX, type="month", limit="12"),
        bulk=True,
    ),
    Check(12, "minute", "/api/minute", answer.whole_day_of_minutes, on_day(), needs=_DAY),
    Check(13, "trade", "/api/trade", answer.ticks, on_day(), needs=_DAY),
    Check(
        14,
        "trade_history",
        "/api/trade-history",
        answer.exactly(200),
        on_day(count="200"),
        needs=_DAY,
    ),
    Check(
        15,
        "minute_trade_all",
        "/api/minute-trade-all",
        answer.whole_day_of_ticks,
        on_day(),
        needs=_DAY,
    ),
    Check(
        16,
        "trade_history_full",
        "/api/trade-history/full",
        answer.ticks_of_the_range,
        _one_day,
        bulk=True,
        needs=_DAY,
    ),
    Check(17, "search", "/api/search", answer.found_by_search, fixed(keyword=STOCK[2:])),
    Check(
        18,
        "stock_info",
        "/api/stock-info",
        answer.three_parts,
        fixed(code=STOCK),
        volatile=("minute.List",),
    ),
    Check(19, "codes", "/api/codes", answer.listed_codes, fixed(exchange="sh")),
    Check(20, "stock_codes", "/api/stock-codes", answer.ten_codes, fixed(limit="10")),
    Check(21, "etf_codes", "/api/etf-codes", answer.ten_codes, fixed(limit="10")),
    Check(22, "etf", "/api/etf", answer.five_funds_of_sh, fixed(exchange="sh", limit="5")),
    Check(23, "market_stats", "/api/market-stats", answer.stats_of_two_exchanges),
    Check(24, "market_count", "/api/market-count", answer.counts_of_three_exchanges),
    CALENDAR,
    Check(
        26, "workday_range", "/api/workday/range", answer.ten_days_of_a_month, _last_days, bulk=True
    ),
    Check(27, "income", "/api/income", answer.returns, _two_months),
    Check(
        28,
        "task_pull_kline",
        "/api/tasks/pull-kline",
        answer.new_task,
        fixed(codes=[STOCK], tables=["day"]),
        "POST",
        starts=PULL_KLINE,
    ),
    Check(
        29,
        "task_pull_trade",
        "/api/tasks/pull-trade",
        answer.new_task,
        _this_year,
        "POST",
        starts=PULL_TRADE,
    ),
    Check(
        30,
        "task_list",
        "/api/tasks",
        answer.both_tasks,
        needs=(PULL_KLINE, PULL_TRADE),
        volatile=("[].ended_at", "[].error"),
    ),
    Check(
        31,
        "task_get_cancel",
        "/api/tasks/{task}",
        answer.the_task,
        needs=(PULL_TRADE,),
        volatile=("ended_at", "error"),
        cancels=PULL_TRADE,
    ),
)
