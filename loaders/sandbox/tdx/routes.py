"""From a request to its answer: dispatch, faults, envelope."""

import time
from dataclasses import replace

from loaders.sandbox.faults import Rule
from loaders.sandbox.tdx import bars, intraday, lists, newer_build, packages, quotes, tasks, wire
from loaders.sandbox.tdx.calls import Call, LogEntry, Route, ServiceState, normalise_codes
from loaders.sandbox.tdx.faults import DATA_FAULTS
from loaders.sandbox.tdx.row_faults import damage_body
from loaders.sandbox.tdx.wire import EmptyBody, Reply, Request, ServiceError, UpstreamTimeout

ROUTES: dict[str, Route] = {
    "health": lists.health,
    "server-status": lists.server_status,
    "quote": quotes.quote,
    "batch-quote": quotes.batch_quote,
    "kline": bars.kline,
    "kline-history": bars.kline_history,
    "kline-all": bars.kline_all,
    "kline-all/tdx": bars.kline_all,
    "kline-all/ths": bars.kline_all_ths,
    "index": bars.index,
    "index/all": bars.index_all,
    "minute": intraday.minute,
    "trade": intraday.trade,
    "trade-history": intraday.trade_history,
    "minute-trade-all": intraday.minute_trade_all,
    "trade-history/full": intraday.trade_history_full,
    "search": lists.search,
    "stock-info": quotes.stock_info,
    "codes": lists.codes,
    "stock-codes": lists.stock_codes,
    "etf-codes": lists.etf_codes,
    "etf": lists.etf,
    "market-stats": lists.market_stats,
    "market-count": lists.market_count,
    "workday": lists.workday,
    "workday/range": lists.workday_range,
    "income": bars.income,
    "tasks/pull-kline": tasks.pull_kline,
    "tasks/pull-trade": tasks.pull_trade,
    "tasks": tasks.tasks,
    "tasks/{id}": tasks.task,
}

# routes that write no rows as [], not as null
BRACKETS = frozenset(
    {
        "batch-quote",
        "codes",
        "etf",
        "income",
        "quote",
        "search",
        "tasks",
        "trade-history/full",
        "workday/range",
    }
)

NOT_FOUND = Reply(b"404 page not found\n", 404, wire.TEXT_TYPE)


def find_route(path: str) -> str | None:
    """The route of a path, which must match exactly except below a task; or of a package."""
    if route := packages.find_package(path):
        return route
    name = path.removeprefix("/api/")
    if name == path:
        return None
    if name in {**ROUTES, **newer_build.ROUTES} and name != "tasks/{id}":
        return name
    return "tasks/{id}" if name.startswith("tasks/") and name != "tasks/" else None


def read_request_codes(request: Request, route: str) -> tuple[str, ...]:
    if route in ("batch-quote", "tasks/pull-kline", "tasks/pull-trade"):
        return normalise_codes(quotes.read_codes(request.body))
    text = request.raw("code") or request.raw("full_code")
    return normalise_codes(text.split(",")) if text else ()


def answer(state: ServiceState, request: Request) -> Reply:
    """What the service sends; faults that delay sleep here."""
    route = find_route(request.path)
    if route is None:
        return NOT_FOUND
    codes = read_request_codes(request, route)
    rules = state.faults.strike_call(route, codes)
    with state.lock:
        state.calls += 1
        number = state.calls
    faults = tuple(str(rule) for rule in rules)
    state.log.append(LogEntry(state.clock, request.method, route, request.params, codes, faults))
    for rule in rules:
        if rule.kind == "latency":
            time.sleep(rule.number("seconds") + _jitter(rule, number))
    return _replacement(rules) or _answer(state, Call(state, request, rules, number), route)


def _jitter(rule: Rule, number: int) -> float:
    return rule.number("jitter") * (number * 2654435761 % 1000) / 1000


def _replacement(rules: list[Rule]) -> Reply | None:
    """The answer of a fault that replaces the true one."""
    for rule in rules:
        if rule.kind == "hang":
            return Reply(b"", hang=True)
        if rule.kind in ("reset", "refuse", "restart"):
            restart = rule.kind == "restart"
            return Reply(b"", reset=True, closed_for=_closed_for(rule), restart=restart)
        if rule.kind == "empty-body":
            return Reply(b"")
        if rule.kind == "html":
            return _html(int(rule.number("status")))
        if rule.kind == "rate-limit" and int(rule.number("status")) != 200:
            return _html(int(rule.number("status")))
        if rule.kind in ("error", "rate-limit"):
            text = rule.option("message") if rule.kind == "error" else "请求过于频繁"
            return Reply(wire.failure(text))
    return None


def _closed_for(rule: Rule) -> float | None:
    return None if rule.kind == "reset" else rule.number("seconds")


def _html(status: int) -> Reply:
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n"
    return Reply(body.encode(), status, wire.HTML_TYPE)


def _answer(state: ServiceState, call: Call, route: str) -> Reply:
    if route in packages.ROUTES:
        reply, cut = packages.answer(call, route), call.hit("cut")
        return replace(reply, cut_at=cut.number("at") if cut else None)
    routes = ROUTES | newer_build.ROUTES if state.options.build == "2026-04" else ROUTES
    if route not in routes:
        return NOT_FOUND
    try:
        body = routes[route](call)
    except UpstreamTimeout as error:
        time.sleep(state.options.timeout_delay)
        return Reply(wire.failure(str(error)))
    except ServiceError as error:
        return Reply(wire.failure(str(error)))
    except EmptyBody:
        return Reply(b"")
    if route != "health":
        body = wire.success(body)
    damage = [rule for rule in call.rules if rule.kind in DATA_FAULTS]
    if damage:
        body = damage_body(body, damage, call.number, empty=[] if route in BRACKETS else None)
    cut = call.hit("cut")
    return Reply(body, cut_at=cut.number("at") if cut else None)
