"""What a quote server answers for a market: the same bars, lists and quotes as the HTTP service's.

Its faults are those of the service's routes, by the route that asks the same.
"""

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from loaders.sandbox.faults import Rule
from loaders.sandbox.tdx import intraday, quote_wire, quotes
from loaders.sandbox.tdx.calls import Call, LogEntry, ServiceState
from loaders.sandbox.tdx.client_files import EXCHANGES, event_records
from loaders.sandbox.tdx.quote_wire import PERIODS, REFUSAL, counted
from loaders.sandbox.tdx.vipdoc_files import parse_day
from loaders.sandbox.tdx.wire import Request, ServiceError
from loaders.sandbox.world.bars import Bars
from loaders.sandbox.world.world import Security, is_b_share

GREETING, HEARTBEAT, LOGIN = 0x000D, 0x0004, 0x0FDB
COUNT, LIST, OLD_LIST, XDXR, BARS, QUOTES = 0x044E, 0x044D, 0x0450, 0x000F, 0x052D, 0x053E
MINUTES, PAST_MINUTES, TICKS, PAST_TICKS = 0x051D, 0x0FB4, 0x0FC5, 0x0FB5
PAGE, TICK_PAGES, MOST_QUOTES, OLD_PAGE = 800, {TICKS: 1800, PAST_TICKS: 2000}, 80, 1000
MOST_BYTES = 0xFFFF - 2  # sizes are u16
Codes = tuple[str, ...]
Params = tuple[int, ...]
_EXCHANGES = {number: name for name, number in EXCHANGES.items()}


class Answer(NamedTuple):
    """One answer.

    body: None if none ever comes
    delay: seconds before it
    part: of its bytes that are sent before the connection ends
    surplus: what the announced size is wrong by
    closed_for: seconds without a listener after it
    """

    body: bytes | None = None
    delay: float = 0.0
    part: float = 1.0
    surplus: int = 0
    closed_for: float | None = None


def answer_request(state: ServiceState, request: bytes) -> Answer:
    """What the market of `state` answers to a command and its parameters."""
    (command,) = struct.unpack_from("<H", request)
    route, layout, make = COMMANDS.get(command, ("server-status", "<", _greet))
    codes, params = _read(layout, request[2:])
    asked = state.world.find(codes[0]) if command == BARS else None
    if asked is not None and asked.kind == "index":
        route = "index/all"
    rules = state.faults.strike_call(route, codes)
    with state.lock:
        state.calls += 1
    texts = {str(n): str(value) for n, value in enumerate(params)}
    faults = tuple(map(str, rules))
    state.log.append(LogEntry(state.clock, "TCP", route, texts, codes, faults))
    call = Call(state, Request("TCP", route, texts), rules, state.calls)
    answer = Answer()
    with suppress(ServiceError):  # a fault that has an effect of its own
        answer = Answer(make(call, command, codes, params))
    for rule in rules:
        if effect := EFFECTS.get(rule.kind):
            answer = answer._replace(**effect(rule, answer.body or b""))
    return answer


EFFECTS: dict[str, Callable[[Rule, bytes], dict[str, Any]]] = {
    "latency": lambda rule, _: {"delay": rule.number("seconds")},
    **dict.fromkeys(("hang", "timeout"), lambda *_: {"body": None}),
    **dict.fromkeys(("error", "outage", "rate-limit"), lambda *_: {"body": REFUSAL}),
    "empty-body": lambda *_: {"body": b""},
    "reset": lambda *_: {"part": 0.0},
    "refuse": lambda rule, _: {"part": 0.0, "closed_for": rule.number("seconds")},
    "restart": lambda rule, _: {"part": 0.0, "closed_for": rule.number("seconds")},
    "cut": lambda rule, _: {"part": rule.number("at")},
    "leftover": lambda rule, body: {"body": body + bytes(rule.integer("bytes"))},
    "wrong-length": lambda rule, _: {"surplus": rule.integer("bytes")},
}


def _read(layout: str, content: bytes) -> tuple[Codes, Params]:
    """The codes and the numbers of a request; `n` ends a layout before a list of codes."""
    values = list(struct.unpack_from(layout.replace("n", "H"), content))
    if layout.endswith("n"):
        pairs = struct.iter_unpack("<B6s", content[struct.calcsize(layout[:-1]) + 2 :])
        return tuple(_code(*pair) for pair in pairs), ()
    at = next((i for i, value in enumerate(values) if isinstance(value, bytes)), 0)
    code = (_code(*values[at - 1 : at + 1]),) if at else ()
    return code, tuple(values[: max(at - 1, 0)] + values[at + 1 if at else 0 :])


def _code(exchange: int, digits: bytes) -> str:
    return _EXCHANGES.get(exchange, "??") + digits.decode("latin-1")


def _greet(*_: object) -> bytes:
    return bytes(10)


def _listed(call: Call, exchange: int) -> list[Security]:
    securities = [s for s in call.cached() if s.exchange == _EXCHANGES.get(exchange)]
    return call.apply_faults(securities)


def _count(call: Call, _: int, __: Codes, params: Params) -> bytes:
    return struct.pack("<H", len(_listed(call, params[0])))


def _list(call: Call, command: int, _: Codes, params: Params) -> bytes | None:
    """A page of an exchange's list; the old command never answers for the third one."""
    exchange, start, count = (*params, OLD_PAGE)[:3]
    if command == OLD_LIST and _EXCHANGES.get(exchange) == "bj":
        return None
    rows = []
    for security in _listed(call, exchange)[start : start + count]:
        bars = call.state.series.day_bars(security.code, call.clock)
        close = int(bars.close[-1]) / 1000 if len(bars) else 0.0
        size = 8 if command == OLD_LIST else 16
        decimals = 2 if _unit(security) == 10 else 3
        rows.append(quote_wire.list_row(security, decimals, close, size))
    return counted(rows if not call.hit("empty") else [])


def _unit(security: Security) -> int:
    """Li of a price's last digit in quotes, minutes and ticks; points of an index have two."""
    is_fine = security.kind == "fund" or is_b_share(security.exchange, security.digits)
    return 1 if is_fine else 10


def _bars(call: Call, _: int, codes: Codes, params: Params) -> bytes:
    """A page counted from the newest bar; its rows ascend."""
    security, (number, start, count) = call.security(codes[0]), params
    period = PERIODS.get(number)
    if security is None or period is None or call.hit("empty"):
        return counted([])
    newest = None if start else min(count, PAGE)
    bars = call.state.series.kept_bars(security, period, call.clock, newest)
    if period == "day":
        bars = _fill_suspensions(bars, call.world.days)
    if stale := call.hit("stale"):
        bars = bars.slice(0, max(len(bars) - stale.integer("rows"), 0))
    short = call.hit("short")
    oldest = max(len(bars) - short.integer("keep"), 0) if short else 0
    stop = max(len(bars) - start, oldest)
    page = bars.slice(max(stop - min(count, PAGE), oldest), stop)
    return quote_wire.bars_body(page, number, is_index=security.kind == "index")


def _fill_suspensions(bars: Bars, days: Sequence[date]) -> Bars:
    """Days without a trade, between others, are bars of the last close without volume."""
    if not len(bars):
        return bars
    known, ends = np.array(bars.stamps), (bars.stamps[0], bars.stamps[-1])
    known_days = {stamp for day in days if ends[0] <= (stamp := f"{day}T15:00:00") <= ends[1]}
    stamps = sorted(known_days.union(bars.stamps))
    if len(stamps) == len(bars):
        return bars
    at = np.searchsorted(known, stamps, "right") - 1
    is_traded, close = known[at] == stamps, bars.close[at]
    prices = [np.where(is_traded, c[at], close) for c in bars.columns()[:4]]
    return Bars(stamps, *prices, *(np.where(is_traded, c[at], 0) for c in bars.columns()[4:]))


def _minutes(call: Call, command: int, codes: Codes, params: Params) -> bytes:
    day = call.today if command == MINUTES else parse_day(params[0])
    points = [] if call.hit("empty") else intraday.minute_points(call, codes[0], day)
    return quote_wire.minutes_body(points, 2 if command == MINUTES else 4)


def _ticks(call: Call, command: int, codes: Codes, params: Params) -> bytes:
    """A page counted from the newest tick of today, or of a day before."""
    *_, start, count = params
    if command == TICKS:
        ticks = intraday.today_ticks(call, codes[0])
    else:
        ticks = intraday.day_ticks(call, codes[0], parse_day(params[0]))
    stop = max(len(ticks) - start, 0)
    page = ticks[max(stop - min(count, TICK_PAGES[command]), 0) : stop]
    return quote_wire.ticks_body([] if call.hit("empty") else page, is_today=command == TICKS)


def _quotes(call: Call, _: int, codes: Codes, __: Params) -> bytes:
    """Quotes of the known codes; the others are left out."""
    known = [s for s in map(call.security, codes[:MOST_QUOTES]) if s is not None]
    if call.hit("quote-mismatch"):
        known = known[:-1]
    rows = [quote_wire.quote_row(quotes.make_quote(call, s), _unit(s)) for s in known]
    return b"\xb1\xcb" + counted(rows if not call.hit("empty") else [])


def _xdxr(call: Call, _: int, codes: Codes, __: Params) -> bytes:
    """The events of each code, announced ones too; of an unknown one none."""
    parts = []
    for code in codes:
        security = call.security(code)
        records = event_records(call.world, security) if security else ()
        rows = [quote_wire.event_row(*record) for record in records]
        head = struct.pack("<B6s", EXCHANGES.get(code[:2], 0), code[2:].encode("latin-1"))
        parts.append(head + counted(rows if not call.hit("empty") else []))
    while sum(map(len, parts)) > MOST_BYTES:  # the codes that do not fit are left out
        parts.pop()
    return counted(parts)


Make = Callable[[Call, int, Codes, Params], bytes | None]
COMMANDS: dict[int, tuple[str, str, Make]] = {
    COUNT: ("market-count", "<H", _count),
    LIST: ("codes", "<HII", _list),
    OLD_LIST: ("codes", "<HH", _list),
    BARS: ("kline-all", "<H6sHxxHH", _bars),
    MINUTES: ("minute", "<H6s", _minutes),
    PAST_MINUTES: ("minute", "<IB6s", _minutes),
    TICKS: ("trade", "<H6sHH", _ticks),
    PAST_TICKS: ("trade-history", "<IH6sHH", _ticks),
    QUOTES: ("batch-quote", "<8xn", _quotes),
    XDXR: ("xdxr", "<n", _xdxr),
}
