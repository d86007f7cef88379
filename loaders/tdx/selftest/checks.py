"""The table of the self-test's 31 checks, one for each route of the service.

Each has its request and its condition. loaders.tdx.selftest.runner sends the requests,
loaders.tdx.selftest.conditions judges the answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
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


def _check(route: str, holds: Condition, params: Params = nothing, **options: Any) -> Check:
    """A check without its number; its name is the route with underscores."""
    name = options.pop("name", route.replace("-", "_").replace("/", "_"))
    return Check(no=0, name=name, path=f"/api/{route}", holds=holds, params=params, **options)


_DAY = ("day",)
_BARS = fixed(code=STOCK, type="day", limit="50")
_PULL = fixed(codes=[STOCK], tables=["day"])
_IN_ORDER = (
    _check("health", answer.says("healthy"), in_envelope=False),
    _check("server-status", answer.says("running")),
    _check("quote", answer.quotes_in_order(STOCKS[:2]), fixed(code=",".join(STOCKS[:2]))),
    _check("batch-quote", answer.quotes_in_order(STOCKS), fixed(codes=list(STOCKS)), method="POST"),
    _check("kline", answer.adjusted_days, fixed(code=STOCK, type="day"), needs=_DAY),
    _check("kline-history", answer.exactly(10), fixed(code=STOCK, type="minute5", limit="10")),
    _check("kline-all", answer.history("tdx", 50), _BARS, bulk=True),
    _check(
        "kline-all/tdx",
        answer.history("tdx", 10),
        fixed(code=STOCK, type="week", limit="10"),
        bulk=True,
    ),
    _check("kline-all/ths", answer.history("ths", 50), _BARS, bulk=True),
    _check("index", answer.index_days, fixed(code=INDEX, type="day", limit="10")),
    _check(
        "index/all", answer.index_months, fixed(code=INDEX, type="month", limit="12"), bulk=True
    ),
    _check("minute", answer.whole_day_of_minutes, on_day(), needs=_DAY),
    _check("trade", answer.ticks, on_day(), needs=_DAY),
    _check("trade-history", answer.exactly(200), on_day(count="200"), needs=_DAY),
    _check("minute-trade-all", answer.whole_day_of_ticks, on_day(), needs=_DAY),
    _check("trade-history/full", answer.ticks_of_the_range, _one_day, bulk=True, needs=_DAY),
    _check("search", answer.search_hit, fixed(keyword=STOCK[2:])),
    _check("stock-info", answer.three_parts, fixed(code=STOCK), volatile=("minute.List",)),
    _check("codes", answer.listed_codes, fixed(exchange="sh")),
    _check("stock-codes", answer.ten_codes, fixed(limit="10")),
    _check("etf-codes", answer.ten_codes, fixed(limit="10")),
    _check("etf", answer.five_funds_of_sh, fixed(exchange="sh", limit="5")),
    _check("market-stats", answer.stats_of_two_exchanges),
    _check("market-count", answer.counts_of_three_exchanges),
    _check("workday", answer.three_days_before, fixed(count="3"), volatile=("next",)),
    _check("workday/range", answer.ten_days_of_a_month, _last_days, bulk=True),
    _check("income", answer.returns, _two_months),
    _check(
        "tasks/pull-kline",
        answer.new_task,
        _PULL,
        name="task_pull_kline",
        method="POST",
        starts=PULL_KLINE,
    ),
    _check(
        "tasks/pull-trade",
        answer.new_task,
        _this_year,
        name="task_pull_trade",
        method="POST",
        starts=PULL_TRADE,
    ),
    _check(
        "tasks",
        answer.both_tasks,
        name="task_list",
        needs=(PULL_KLINE, PULL_TRADE),
        volatile=("[].ended_at", "[].error"),
    ),
    _check(
        "tasks/{task}",
        answer.the_task,
        name="task_get_cancel",
        needs=(PULL_TRADE,),
        volatile=("ended_at", "error"),
        cancels=PULL_TRADE,
    ),
)
CHECKS = tuple(replace(check, no=no) for no, check in enumerate(_IN_ORDER, start=1))
[CALENDAR] = (check for check in CHECKS if check.name == "workday")
