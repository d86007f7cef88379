"""Routes that answer from the service's own memory: health, code lists, calendar."""

from bisect import bisect_left, bisect_right
from datetime import date, timedelta

import numpy as np

from loaders.sandbox.tdx.calls import Call, prefix_errors
from loaders.sandbox.tdx.wire import ZERO_FLOAT, ServiceError, atoi, go_json, parse_day, parse_limit
from loaders.sandbox.world.world import Security

DATE_TEXT = " 参数格式错误，应为 YYYYMMDD 或 YYYY-MM-DD"
EXCHANGES = ("sh", "sz", "bj")


def health(_: Call) -> bytes:
    return b'{"status":"healthy","time":"1730617200"}\n'


def server_status(_: Call) -> bytes:
    return b'{"status":"running","connected":true,"version":"1.0.0","uptime":"unknown"}'


def codes(call: Call) -> bytes:
    wanted = call.request.raw("exchange").lower() or "all"
    stocks = call.stocks()
    counts = {name: sum(s.exchange == name for s in stocks) for name in sorted(EXCHANGES)}
    rows = [
        {"code": s.digits, "exchange": s.exchange, "name": s.name}
        for s in stocks
        if wanted in ("all", s.exchange)
    ]
    return go_json({"total": len(rows), "exchanges": counts, "codes": rows})


def search(call: Call) -> bytes:
    keyword = call.request.required("keyword", "搜索关键词不能为空")
    matches: dict[str, dict[str, str]] = {}
    for s in call.stocks():
        if keyword.upper() in s.digits or keyword.upper() in s.name.upper():
            row = {"code": s.digits, "exchange": s.exchange, "name": s.name}
            matches.setdefault(s.digits, row)
    return go_json(list(matches.values())[:50])


def _code_list(call: Call, securities: list[Security]) -> bytes:
    if call.hit("half-init"):
        which = "股票" if call.request.path.endswith("stock-codes") else ""
        raise ServiceError(which + "代码缓存未初始化")
    bare = call.request.trimmed("prefix") == "false"
    limit = parse_limit(call.request.raw("limit"))
    rows = [s.digits if bare else s.code for s in securities][:limit]
    return go_json({"count": len(rows), "list": rows or None})


def stock_codes(call: Call) -> bytes:
    return _code_list(call, call.stocks())


def etf_codes(call: Call) -> bytes:
    return _code_list(call, call.etfs())


def etf(call: Call) -> bytes:
    wanted = call.request.trimmed("exchange").lower() or "all"
    limit = parse_limit(call.request.trimmed("limit"))
    rows = [
        {
            "code": s.digits,
            "name": s.name,
            "exchange": s.exchange,
            "last_price": _frozen_price(call, s),
        }
        for s in call.etfs()
        if wanted in ("all", s.exchange)
    ][:limit]
    return go_json({"total": len(rows), "list": rows})


def _frozen_price(call: Call, security: Security) -> float:
    """Price of the day on which it was first cached, as a single float."""
    bars = call.world.day_bars(security.code)
    if not len(bars):
        return ZERO_FLOAT
    return float(np.float32(int(bars.close[0]) / 1000))


def market_stats(call: Call) -> bytes:
    """Totals; up, down and flat only count stale prices above zero."""
    stocks = call.stocks()
    totals = {name: sum(s.exchange == name for s in stocks) for name in EXCHANGES}
    stats: dict[str, object] = {
        name: {"total": n, "up": n, "down": 0, "flat": 0} for name, n in totals.items()
    }
    return go_json({**stats, "update_time": ""})


@prefix_errors("获取 sh 数量失败: ")
def market_count(call: Call) -> bytes:
    """All instruments of an exchange, so more than the lists hold."""
    call.upstream()
    listed = [s for s in call.world.securities if s.listed <= call.today]
    counts = [
        {"exchange": name, "count": 10 * sum(s.exchange == name for s in listed) + 7}
        for name in EXCHANGES
    ]
    return go_json({"total": sum(int(str(c["count"])) for c in counts), "exchanges": counts})


def _day(day: date) -> dict[str, str]:
    return {"iso": day.isoformat(), "numeric": day.strftime("%Y%m%d")}


def workday(call: Call) -> bytes:
    text = call.request.trimmed("date")
    day = parse_day(text) if text else call.today
    if day is None:
        raise ServiceError("date" + DATE_TEXT)
    count = min(max(atoi(call.request.trimmed("count")) or 1, 1), 30)
    days = call.days()
    at, after = bisect_left(days, day), bisect_right(days, day)
    reach = timedelta(days=366)
    following = [d for d in days[after : after + count] if d - day <= reach]
    before = [d for d in reversed(days[max(0, at - count) : at]) if day - d <= reach]
    return go_json(
        {
            "date": _day(day),
            "is_workday": after > at,
            "next": [_day(d) for d in following],
            "previous": [_day(d) for d in before],
        }
    )


def read_range(call: Call) -> tuple[date, date]:
    """The first and the last day of the request."""
    texts = {name: call.request.trimmed(name) for name in ("start", "end")}
    if not all(texts.values()):
        raise ServiceError("start 与 end 均为必填参数")
    ends = []
    for name, text in texts.items():
        day = parse_day(text)
        if day is None:
            raise ServiceError(name + DATE_TEXT)
        ends.append(day)
    start, end = ends
    if end < start:
        raise ServiceError("end 必须大于或等于 start")
    return start, end


def list_days(days: list[date]) -> bytes:
    return go_json({"count": len(days), "list": [_day(d) for d in days]})


def workday_range(call: Call) -> bytes:
    start, end = read_range(call)
    days = [d for d in call.days() if start <= d <= end]
    if not days:
        call.state.refresh_calendar()
        days = [d for d in call.days() if start <= d <= end]
    return list_days(days)
