"""Routes of bars: kline*, index, index/all, income."""

import sys

from loaders.sandbox.tdx import wire
from loaders.sandbox.tdx.calls import Call, prefix_errors
from loaders.sandbox.tdx.render import Series
from loaders.sandbox.tdx.series import DAY_TYPES, MINUTE_SIZES, NO_POSITIONS, Positions
from loaders.sandbox.tdx.wire import BadRequest, EmptyBody, ServiceError, UpstreamTimeout
from loaders.sandbox.world.world import Security

NOTES = (
    "该接口会一次性返回全部历史数据，响应时间取决于数据量",
    "分钟级数据量较大，请适当设置 limit 或调大超时时间",
)
NO_SERIES = Series(b"", [0])
THS_TYPES = ("day", "week", "month")
HISTORY_LIMIT, HISTORY_CAP = 100, 800
INDEX_TYPES = (*MINUTE_SIZES, "day", "week", "month")


def upper_answer(count: int, rows: bytes) -> bytes:
    """An answer with upper-case keys."""
    return b'{"Count":%d,"List":%s}' % (count, rows)


def lower_answer(count: int, rows: bytes, meta: dict[str, object] | None = None) -> bytes:
    tail = b',"meta":' + wire.go_json(meta) if meta is not None else b""
    return b'{"count":%d,"list":%s%s}' % (count, rows, tail)


def parse_capped_limit(text: str) -> int:
    number = wire.atoi(text)
    return min(number, HISTORY_CAP) if number and number > 0 else HISTORY_LIMIT


def _find_security(call: Call, text: str) -> Security | None:
    """The security of a code, as the quote server knows it."""
    code = wire.expand_code(text)
    call.upstream()
    return call.security(code)


def raw_series(call: Call, text: str, period: str, newest: int | None = None) -> Series:
    security = _find_security(call, text)
    if security is None:
        return NO_SERIES
    if security.kind == "index":
        if period in DAY_TYPES:
            # the decoder reads garbage: a year beyond 9999, which JSON cannot carry
            raise EmptyBody
        return _garble(call.state.series.raw(security, period, call.clock))
    return call.state.series.raw(security, period, call.clock, newest)


def index_series(call: Call, text: str, period: str, newest: int | None = None) -> Series:
    security = _find_security(call, text)
    if security is None:
        return NO_SERIES
    if security.kind != "index":
        raise UpstreamTimeout(wire.TIMED_OUT)
    return call.state.series.raw(security, period, call.clock, newest)


def ths_series(call: Call, text: str, period: str, newest: int | None = None) -> Series:
    digits = wire.ths_digits(text)
    match = call.world.find_digits(digits)
    security = call.security(match.code) if match else None
    if security is None or call.hit("ths-down"):
        raise ServiceError(wire.THS_ERROR + "invalid character '<' looking for beginning of value")
    return call.state.series.adjusted(
        security, period, call.clock, missing=_missing_events(call), newest=newest
    )


def _missing_events(call: Call) -> Positions:
    """Events that the third-party page does not know at this call, 0 for the newest."""
    if call.hit("ths-unadjusted"):
        return range(sys.maxsize)
    rule = call.hit("ths-missing-action")
    if rule is None:
        return NO_POSITIONS
    first = int(rule.number("which")) - 1
    return range(first, first + int(rule.number("count")))


def _garble(series: Series) -> Series:
    """Index minutes by the stock decoder: only the first bar of a page is right."""
    pieces, offsets, at = [], [0], 0
    for i in range(len(series)):
        piece = series.text[series.offsets[i] : series.offsets[i + 1]]
        if (len(series) - i) % 800 and i:
            v = 1000 + i * 7919 % 90_000_000
            numbers = (v, v * 3, v // 2, v * 5, v * 2, -v, v * 11)
            stamp = (4 + i * 13 % 32, 1 + i * 5 % 12, 1 + i * 7 % 28, i % 24, i * 3 % 60)
            piece = (
                b'{"Last":%d,"Open":%d,"High":%d,"Low":%d,"Close":%d,"Volume":%d,"Amount":%d,'
                b'"Time":"20%02d-%02d-%02dT%02d:%02d:00+08:00","UpCount":0,"DownCount":0},'
            ) % (numbers + stamp)
        pieces.append(piece)
        at += len(piece)
        offsets.append(at)
    return Series(b"".join(pieces), offsets)


KLINE_ERROR = "获取K线失败: "


@prefix_errors(KLINE_ERROR)
def kline(call: Call) -> bytes:
    code = call.request.required("code", wire.NO_CODE)
    period = call.request.raw("type")
    if period in MINUTE_SIZES:
        return upper_answer(*raw_series(call, code, period).newest(None))
    return upper_answer(*ths_series(call, code, _ths_type(period)).newest(None))


@prefix_errors(KLINE_ERROR)
def kline_history(call: Call) -> bytes:
    code = call.request.required("code", wire.NO_CODE)
    period, limit = call.request.raw("type"), parse_capped_limit(call.request.raw("limit"))
    if period in MINUTE_SIZES:
        return upper_answer(
            *raw_series(call, code, period, limit).newest(limit, first_last_zero=True)
        )
    return upper_answer(*ths_series(call, code, _ths_type(period), limit).newest(limit))


def _ths_type(period: str) -> str:
    """A type that is not week or month means day."""
    return period if period in ("week", "month") else "day"


def _read_bulk_request(call: Call) -> tuple[str, str, int | None]:
    """Code, type and limit of a request to a bulk route."""
    code = call.request.required("code", wire.CODE_REQUIRED, trim=True)
    return (
        code,
        call.request.trimmed("type").lower() or "day",
        wire.parse_limit(call.request.raw("limit")),
    )


@prefix_errors(KLINE_ERROR)
def kline_all(call: Call) -> bytes:
    code, period, limit = _read_bulk_request(call)
    if period not in MINUTE_SIZES and period not in DAY_TYPES:
        raise ServiceError(f"不支持的K线类型: {period}")
    count, rows = raw_series(call, code, period, limit).newest(limit)
    meta = {"batch_limit": 800, "notes": NOTES, "source": "tdx", "type": period}
    return lower_answer(count, rows, meta)


@prefix_errors("获取同花顺K线失败: ")
def kline_all_ths(call: Call) -> bytes:
    code, period, limit = _read_bulk_request(call)
    if period not in THS_TYPES:
        raise ServiceError("同花顺接口暂仅支持 type=day/week/month")
    count, rows = ths_series(call, code, period, limit).newest(limit)
    meta = {"batch_limit": count, "notes": NOTES, "source": "ths", "type": period}
    return lower_answer(count, rows, meta)


@prefix_errors("获取指数数据失败: ")
def index(call: Call) -> bytes:
    code = call.request.required("code", "指数代码不能为空")
    period = call.request.raw("type")
    period = period if period in INDEX_TYPES else "day"
    limit = parse_capped_limit(call.request.raw("limit"))
    series = index_series(call, code, period)
    if period in ("week", "month"):
        return upper_answer(*series.oldest(limit))
    return upper_answer(*series.newest(limit, first_last_zero=True))


@prefix_errors("获取指数历史数据失败: ")
def index_all(call: Call) -> bytes:
    code, period, limit = _read_bulk_request(call)
    period = period if period in MINUTE_SIZES or period in DAY_TYPES else "day"
    return lower_answer(*index_series(call, code, period, limit).newest(limit))


@prefix_errors(KLINE_ERROR)
def income(call: Call) -> bytes:
    code = call.request.required("code", wire.CODE_REQUIRED, trim=True)
    text = call.request.required("start_date", "start_date 为必填参数", trim=True)
    start = wire.parse_day(text)
    if start is None:
        raise BadRequest("start_date 格式错误，应为 YYYYMMDD 或 YYYY-MM-DD")
    texts = call.request.trimmed("days") or "5,10,20,60,120"
    offsets = [n for n in (wire.atoi(text.strip()) for text in texts.split(",")) if n and n > 0]
    ths_series(call, code, "day", 1)
    security = call.world.find_digits(wire.ths_digits(code))
    assert security is not None
    bars = call.state.series.adjusted_bars(
        security, "day", call.clock, missing=_missing_events(call)
    )
    base = next((i for i, s in enumerate(bars.stamps) if s[:10] >= start.isoformat()), 0)

    def prices(i: int) -> dict[str, float]:
        columns = {"close": bars.close, "high": bars.high, "low": bars.low, "open": bars.open}
        return {name: int(column[i]) / 1000 for name, column in columns.items()}

    rows = []
    for offset in offsets:
        at = base + offset
        if at >= len(bars):
            continue
        now, before = prices(at), prices(base)
        if before["close"] == 0:
            raise EmptyBody
        rise = now["close"] - before["close"]
        rows.append(
            {
                "current": now,
                "offset": offset,
                "rise": rise,
                "rise_rate": rise / before["close"],
                "source": before,
                "time": bars.stamps[at] + "+08:00",
            }
        )
    return lower_answer(len(rows), wire.go_json(rows))
