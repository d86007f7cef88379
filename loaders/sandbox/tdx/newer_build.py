"""Routes of the service's build of April 2026 whose contract differs from the one before.

A code has its prefix and is named `full_code`; prices are yuan. Other parameters are refused. Not
simulated: `adjust_mode=hfq`, and market-stats outside a session.
"""

import json
from datetime import date, timedelta

from loaders.sandbox.tdx import lists, quotes, wire
from loaders.sandbox.tdx.bars import index_series, raw_series, ths_series
from loaders.sandbox.tdx.calls import Call, Route, prefix_errors
from loaders.sandbox.tdx.render import Series
from loaders.sandbox.tdx.wire import BadRequest, ServiceError
from loaders.sandbox.world.world import Security

# years whose closures are compiled in
KNOWN_YEARS = (2025, 2026)
SIZES = {"": "minute1", "1": "minute1", "5": "minute5", "15": "minute15", "30": "minute30"}
SIZES |= {"60": "hour"}
SATURDAY = 5


def _find(call: Call, text: str) -> Security:
    code = text.strip().lower()
    if not code:
        raise BadRequest("full_code 为必填参数")
    if code[:2] not in lists.EXCHANGES:
        raise BadRequest(f"full_code 参数无效，请传完整市场前缀代码，例如 sh600000：{text}")
    security = call.security(code)
    if security is None:
        raise BadRequest(f"证券未找到: {text}")
    return security


def _asset_type(security: Security) -> str:
    return {"fund": "etf"}.get(security.kind, security.kind)


def _head(security: Security) -> dict[str, object]:
    return {
        "code": security.digits,
        "full_code": security.code,
        "name": security.name,
        "exchange": security.exchange.upper(),
        "asset_type": _asset_type(security),
    }


def _quote_items(call: Call, texts: list[str]) -> list[dict[str, object]]:
    """Quotes in the order of the request; codes that the service cannot prefix are left out."""
    wanted = [_find(call, text) for text in texts]
    items = []
    rows = quotes.quote_rows(call, [security.code for security in wanted])
    for security, row in zip(wanted, rows, strict=True):
        try:
            prefixed = wire.expand_code(security.digits)
        except ServiceError:
            continue
        if prefixed == security.code:
            items.append(_item(call, security, row))
    return items


def _item(call: Call, security: Security, row: dict[str, object]) -> dict[str, object]:
    k: dict[str, int] = row["K"]  # type: ignore[assignment]
    price, before = k["Close"] / 1000, k["Last"] / 1000
    change = price - before if price else 0.0
    levels: dict[str, list[dict[str, int]]] = {
        side: row[name]  # type: ignore[misc]
        for side, name in (("bids", "BuyLevel"), ("asks", "SellLevel"))
    }
    return _head(security) | {
        "trading_status": "active",
        "is_halted": False,
        "is_limit_up": False,
        "is_limit_down": False,
        "status_source": "inferred_from_quote",
        "status_reason": "TDX quote 未提供显式状态字段",
        "price": price,
        "prev_close": before,
        "open": k["Open"] / 1000,
        "high": k["High"] / 1000,
        "low": k["Low"] / 1000,
        "change": round(change, 3),
        "change_pct": round(change / before * 100, 2) if before else 0,
        "volume": int(str(row["TotalHand"])) * 100 if price else 0,
        "amount": round(float(str(row["Amount"])), 2) if price else 0,
        "quote_time": call.clock.isoformat() + "+08:00",
        **{
            side: [
                {"level": at, "price": level["Price"] / 1000, "volume": level["Number"]}
                for at, level in enumerate(rows, start=1)
            ]
            for side, rows in levels.items()
        },
    }


@prefix_errors(quotes.QUOTE_ERROR)
def quote(call: Call) -> bytes:
    text = call.request.trimmed("full_code")
    items = _quote_items(call, [text])
    if not items:
        raise BadRequest(f"未获取到行情: {text}")
    return wire.go_json(items[0])


@prefix_errors(quotes.QUOTE_ERROR)
def batch_quote(call: Call) -> bytes:
    if call.request.method != "POST":
        raise BadRequest("只支持POST请求")
    texts = quotes.read_json(call.request.body).get("full_codes")
    if not isinstance(texts, list) or not texts:
        raise BadRequest("full_codes 为必填参数")
    if len(texts) > quotes.BATCH_CAP:
        raise BadRequest("一次最多查询50只证券")
    items = _quote_items(call, [str(text) for text in texts])
    return wire.go_json({"count": len(items), "items": items})


def _items(series: Series, clock: slice) -> list[dict[str, object]]:
    rows = json.loads(series.newest(None)[1]) or []
    return [
        {"time": row["Time"][clock]}
        | {name.lower(): row[name] / 1000 for name in ("Open", "High", "Low", "Close")}
        | {"volume": row["Volume"], "amount": row["Amount"] / 1000}
        for row in rows
    ]


def minute(call: Call) -> bytes:
    request = call.request
    security = _find(call, request.raw("full_code"))
    text = request.trimmed("trading_date")
    if not text:
        raise BadRequest("trading_date 为必填参数")
    day = wire.parse_day(text)
    if day is None:
        raise BadRequest("trading_date" + lists.DATE_TEXT)
    size = request.trimmed("interval_minutes")
    if size not in SIZES:
        raise BadRequest("interval_minutes 仅支持 1/5/15/30/60")
    source = index_series if security.kind == "index" else raw_series
    bars = _items(source(call, security.code, SIZES[size]), slice(None))
    items = [item for item in bars if str(item["time"])[:10] == day.isoformat()]
    if not items:
        raise ServiceError("指定 trading_date 无盘中数据，exact 模式不回退最近交易日")
    shown = {"trading_date": day.isoformat(), "interval_minutes": int(size or "1")}
    tail = {"session": "full", "source": "tdx_intraday", "count": len(items), "items": items}
    return wire.go_json(_head(security) | shown | tail)


def kline_history(call: Call) -> bytes:
    request = call.request
    security = _find(call, request.raw("full_code"))
    frequency, mode = (request.trimmed(name).lower() for name in ("frequency", "adjust_mode"))
    if not frequency:
        raise BadRequest("frequency 为必填参数")
    if mode not in ("bfq", "qfq"):
        raise BadRequest("adjust_mode 仅支持 bfq/qfq/hfq")
    ends = [request.trimmed(name) for name in ("start_date", "end_date")]
    count = wire.parse_limit(request.trimmed("count"))
    if count and any(ends):
        raise BadRequest("count 与 start_date/end_date 不能同时传入")
    if not count and not all(ends):
        raise BadRequest("必须显式提供 start_date+end_date 或 count")
    if frequency not in ("day", "week", "month"):
        raise BadRequest("frequency 仅支持 day/week/month")
    source = index_series if security.kind == "index" else raw_series
    source = ths_series if mode == "qfq" else source
    items = _items(source(call, security.code, frequency), slice(10))
    if count:
        items = items[-count:]
    else:
        start, end = map(wire.parse_day, ends)
        if start is None or end is None:
            raise BadRequest("start_date" + lists.DATE_TEXT)
        items = [i for i in items if start.isoformat() <= str(i["time"]) <= end.isoformat()]
    if not items:
        raise ServiceError("指定条件下无历史 bars 数据")
    shown = {"frequency": frequency, "adjust_mode": mode, "source": f"tdx_{mode}_day"}
    return wire.go_json(_head(security) | shown | {"count": len(items), "items": items})


def adjustment_factors(call: Call) -> bytes:
    security = _find(call, call.request.raw("full_code"))
    if security.kind == "index":
        raise ServiceError("index 不支持 adjustment factors")
    raw, adjusted = (
        {str(item["time"]): float(str(item["close"])) for item in _items(series, slice(10))}
        for series in (
            raw_series(call, security.code, "day"),
            ths_series(call, security.code, "day"),
        )
    )
    factors = {day: adjusted[day] / close for day, close in raw.items() if day in adjusted}
    if not factors:
        raise ServiceError("指定范围内无复权因子数据")
    first = next(iter(factors.values()))
    items = [
        {"ex_date": day, "forward_factor": factor, "backward_factor": factor / first}
        for day, factor in factors.items()
    ]
    head = {"code": security.digits, "full_code": security.code}
    return wire.go_json(head | {"count": len(items), "items": items})


def search(call: Call) -> bytes:
    keyword = call.request.required("keyword", "搜索关键词不能为空").upper()
    matches: dict[str, dict[str, object]] = {}
    for s in call.cached():
        if keyword in s.digits or keyword in s.name.upper():
            more = {"exchange": s.exchange, "decimal": s.decimals, "multiple": 100}
            matches.setdefault(s.digits, _head(s) | more | {"last_price": 0})
    rows = list(matches.values())[:50]
    return wire.go_json({"count": len(rows), "list": rows})


def market_stats(call: Call) -> bytes:
    stats = json.loads(lists.market_stats(call))
    stats.pop("update_time")
    live = {"asset_type": "stock", "status": "live", "summary": {}}
    updated = {"updated_at": call.clock.isoformat() + "+08:00"}
    return wire.go_json(
        {name: {**counts, "up_ratio": 100, "limit_up": 0} for name, counts in stats.items()}
        | live
        | updated
    )


def _is_workday(call: Call, day: date, known: list[date]) -> bool:
    """Whether the exchange opens, past the newest bar by the closures of known years."""
    if known and day <= known[-1]:
        return day in known
    if day.year in KNOWN_YEARS:
        days = call.world.days
        return day in days if day <= days[-1] else day.weekday() < SATURDAY
    reach = f"交易日历仅覆盖至 {known[-1]}" if known else "交易日历未初始化"
    raise ServiceError(f"{reach}，且未配置 {day.year} 年官方休市安排")


def workday(call: Call) -> bytes:
    """The answer of the build before, except for a day of an unknown year."""
    day = wire.parse_day(call.request.trimmed("date")) or call.today
    is_workday = _is_workday(call, day, call.days())
    return wire.go_json(json.loads(lists.workday(call)) | {"is_workday": is_workday})


def workday_range(call: Call) -> bytes:
    """The days of the build before, and those to come of known years."""
    start, end = lists.read_range(call)
    known = call.days()
    days = [day for day in known if start <= day <= end]
    day = max(start, known[-1] + timedelta(days=1)) if known else start
    while day <= end:
        if _is_workday(call, day, known):
            days.append(day)
        day += timedelta(days=1)
    if not days and known and end <= known[-1]:
        call.state.refresh_calendar()
    return lists.list_days(days)


ROUTES: dict[str, Route] = {
    "quote": quote,
    "batch-quote": batch_quote,
    "minute": minute,
    "kline-history": kline_history,
    "adjustment-factors": adjustment_factors,
    "search": search,
    "market-stats": market_stats,
    "workday": workday,
    "workday/range": workday_range,
}
