"""Routes of the present: quote, batch-quote, stock-info."""

import json
import math
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from fractions import Fraction

import numpy as np

from loaders.sandbox.tdx import wire
from loaders.sandbox.tdx.bars import ths_series, upper_answer
from loaders.sandbox.tdx.calls import Call, prefix_errors
from loaders.sandbox.tdx.intraday import minute_data
from loaders.sandbox.tdx.wire import BadRequest, ServiceError
from loaders.sandbox.world.actions import events
from loaders.sandbox.world.bars import Bars
from loaders.sandbox.world.world import SESSION_START, Security

EXCHANGE_NUMBER = {"sz": 0, "sh": 1, "bj": 2}
QUOTE_ERROR = "获取行情失败: "
BATCH_CAP = 50
HALF = Fraction(1, 2)


def read_codes(body: bytes) -> list[str]:
    try:
        document = read_json(body)
    except BadRequest:
        return []
    codes = document.get("codes") or [document.get("code")]
    return [code for code in codes if isinstance(code, str)]  # type: ignore[attr-defined]


def read_json(body: bytes) -> dict[str, object]:
    """The JSON object of a request; errors have Go's message, or one like it."""
    if not body:
        raise BadRequest("请求参数错误: EOF")
    try:
        document = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"请求参数错误: invalid character ({error})") from error
    if not isinstance(document, dict):
        raise BadRequest("请求参数错误: json: cannot unmarshal into Go value")
    return document


@prefix_errors(QUOTE_ERROR)
def quote(call: Call) -> bytes:
    texts = [text.strip() for text in call.request.raw("code").split(",") if text.strip()]
    if not texts:
        raise BadRequest(wire.NO_CODE)
    return _quotes(call, texts)


@prefix_errors(QUOTE_ERROR)
def batch_quote(call: Call) -> bytes:
    if call.request.method != "POST":
        raise BadRequest("只支持POST请求")
    read_json(call.request.body)
    texts = read_codes(call.request.body)
    if not texts:
        raise BadRequest("股票代码列表不能为空")
    if len(texts) > BATCH_CAP:
        raise BadRequest("一次最多查询50只股票")
    return _quotes(call, texts)


def _quotes(call: Call, texts: list[str]) -> bytes:
    return wire.go_json(quote_rows(call, texts))


def quote_rows(call: Call, texts: list[str]) -> list[dict[str, object]]:
    """Quotes of all codes; one bad code fails the whole call."""
    codes = []
    for text in texts:
        code = wire.expand_code(text)
        if not wire.is_stock(code[:2], code[2:]):
            if call.hit("half-init"):
                raise ServiceError("DefaultCodes未初始化")
            # funds and indices are found in the code cache, which is case sensitive
            if call.security(code) is None or text != text.lower():
                raise ServiceError(f"未查询到代码[{text}]相关信息")
        codes.append(code)
    call.upstream()
    known = [s for s in map(call.security, codes) if s is not None]
    if call.hit("quote-mismatch"):
        known = known[:-1]
    if len(known) != len(codes):
        raise ServiceError(f"预期{len(codes)}个，实际{len(known)}个")
    return [make_quote(call, security) for security in known]


def _session(call: Call) -> date | None:
    """The newest trading day whose session has started."""
    days = call.world.days
    at = bisect_right(days, call.today)
    if at and days[at - 1] == call.today and call.clock.time() < SESSION_START:
        at -= 1
    return days[at - 1] if at else None


def make_quote(call: Call, security: Security) -> dict[str, object]:
    bars = call.state.series.day_bars(security.code, call.clock)
    session = _session(call)
    trades = bool(len(bars)) and session is not None and bars.day(-1) == session.isoformat()
    row = [int(column[-1]) if trades else 0 for column in bars.columns()[:6]]
    opened, high, low, close, volume, amount = row
    at = len(bars) - (2 if trades else 1)
    tick = 10 if security.decimals == 2 else 1
    before = _previous_close(call, security, bars, at, session, tick)
    yuan = float(np.float32(amount / 1000)) if amount else wire.ZERO_FLOAT
    base, active = close or before, 100 + int(security.digits) % 4000
    return {
        "Exchange": EXCHANGE_NUMBER[security.exchange],
        "Code": security.digits,
        "Active1": active,
        "K": {"Last": before, "Open": opened, "High": high, "Low": low, "Close": close},
        "ServerTime": "15000000" if call.clock.hour >= 15 else call.clock.strftime("%H%M%S00"),
        "ReversedBytes0": 15000000,
        "ReversedBytes1": -close,
        "TotalHand": volume,
        "Intuition": volume // 240,
        "Amount": yuan,
        "InsideDish": volume - volume // 2,
        "OuterDisc": volume // 2,
        "ReversedBytes2": 0,
        "ReversedBytes3": 0,
        "BuyLevel": [_level(True, base - i * tick, trades, active + i) for i in range(5)],
        "SellLevel": [_level(False, base + (i + 1) * tick, trades, active + i) for i in range(5)],
        **{f"ReversedBytes{i}": 0 for i in range(4, 10)},
        "Rate": 0,
        "Active2": active,
    }


def _previous_close(
    call: Call, security: Security, bars: Bars, at: int, session: date | None, tick: int
) -> int:
    """Reference price of the session: the close before, adjusted for ex-dates.

    0 before the first bar.
    """
    if at < 0:
        return 0
    close = int(bars.close[at])
    price = Fraction(close, 1000)
    since = date.fromisoformat(bars.day(at))
    for event in events(call.world.actions(security.code)):
        if session is not None and since < event.ex_date <= session:
            price = event.ex_price(price)
    return close if price * 1000 == close else math.floor(price * 1000 / tick + HALF) * tick


def _level(buy: bool, price: int, trades: bool, seed: int) -> dict[str, object]:
    number = 1 + seed * 37 % 900 if trades else 0
    return {"Buy": buy, "Price": price if trades else 0, "Number": number}


def stock_info(call: Call) -> bytes:
    """Three parts; a part whose source fails is left out."""
    text = call.request.required("code", wire.NO_CODE)
    today = call.today.strftime("%Y%m%d")
    sources: dict[str, Callable[[], bytes]] = {
        "kline_day": lambda: upper_answer(*ths_series(call, text, "day", 30).newest(30)),
        "minute": lambda: wire.go_json(minute_data(call, wire.expand_code(text), today)),
        "quote": lambda: _quotes(call, [text])[1:-1],
    }
    parts: list[bytes] = []
    for name, source in sources.items():
        with suppress(ServiceError):
            parts.append(b'"%s":%s' % (name.encode(), source()))
    return b"{" + b",".join(parts) + b"}"
