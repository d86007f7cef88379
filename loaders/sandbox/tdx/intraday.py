"""Routes of one day's minutes and ticks."""

from datetime import date, timedelta

from loaders.sandbox.tdx import wire
from loaders.sandbox.tdx.calls import Call, prefix_errors
from loaders.sandbox.tdx.render import tick_rows
from loaders.sandbox.tdx.wire import BadRequest, UpstreamTimeout
from loaders.sandbox.world.world import MinutePoint, Tick

FIRST_TICK_DAY = date(2000, 6, 9)
TODAY_PAGE, HISTORY_PAGE = 1800, 2000
TICK_ERROR = "获取分时成交失败: "
YES = ("1", "true", "yes", "y", "on")


def _scale(call: Call, code: str) -> int:
    """Factor of prices: the decoders of minutes and ticks assume cents.

    Prices of funds and B shares are ten times too large, those of indices are right.
    """
    security = call.world.find(code)
    return 10 if security and security.kind != "index" and security.decimals == 3 else 1


def _number_day(text: str) -> date | None:
    """A date as the quote server reads it: a number, else 0."""
    number = wire.atoi(text)
    return wire.parse_day(f"{number:08d}") if number and 0 < number < 100_000_000 else None


def minute_points(call: Call, code: str, day: date | None) -> list[MinutePoint]:
    call.upstream()
    if day is None or (call.security(code) is None and not call.world.records_intraday):
        return []
    if day > call.today and not call.world.records_intraday:
        return []
    points = call.world.minute_points(code, day)
    if day == call.today and not call.world.records_intraday:
        # the running minute is included, labelled by its end
        label = (call.clock + timedelta(minutes=1)).strftime("%H:%M:%S")
        points = [point for point in points if point.label + ":00" < label]
        if points and points[-1].label + ":00" > call.clock.strftime("%H:%M:%S"):
            so_far = points[-1].number * call.clock.second // 60
            points[-1] = points[-1]._replace(number=so_far)
    scale = _scale(call, code)
    # the quote server sends cents, of points of an index too
    return [point._replace(price=point.price * scale // 10 * 10) for point in points]


def minute_data(call: Call, code: str, shown: str) -> dict[str, object]:
    points = minute_points(call, code, _number_day(shown))
    rows = [{"Time": p.label, "Price": p.price, "Number": p.number} for p in points]
    return {"Count": len(rows), "List": rows or None, "date": shown}


@prefix_errors("获取分时数据失败: ")
def minute(call: Call) -> bytes:
    code = call.request.required("code", wire.NO_CODE)
    shown = call.request.trimmed("date") or call.today.strftime("%Y%m%d")
    return wire.go_json(minute_data(call, wire.expand_code(code), shown))


def day_ticks(call: Call, code: str, day: date | None) -> list[Tick]:
    """All ticks of a day before today."""
    call.upstream()
    recorded = call.world.records_intraday
    if day is None or day < FIRST_TICK_DAY or (day >= call.today and not recorded):
        return []
    scale = _scale(call, code)
    return [Tick(t[0], t[1] * scale, t[2], t[3], 0) for t in call.world.ticks(code, day)]


def today_ticks(call: Call, code: str) -> list[Tick]:
    call.upstream()
    if call.world.records_intraday:
        return []
    now = call.clock.strftime("%H:%M")
    scale = _scale(call, code)
    return [
        tick._replace(price=tick.price * scale)
        for tick in call.world.ticks(code, call.today)
        if tick.minute <= now
    ]


def _list_ticks(day: date, ticks: list[Tick]) -> bytes:
    rows = b",".join(tick_rows(day, ticks))
    return b'{"Count":%d,"List":%s}' % (len(ticks), b"[%s]" % rows if rows else b"null")


def _parse_tick_day(text: str) -> date | None:
    day = _number_day(text)
    if day is not None and len(text) != 8:
        # the quote server understands it, but the ticks cannot be stamped with it
        raise UpstreamTimeout(wire.TIMED_OUT)
    return day


def _dated(call: Call, code: str, text: str) -> bytes:
    day = _parse_tick_day(text)
    return _list_ticks(day or call.today, day_ticks(call, code, day))


@prefix_errors(TICK_ERROR)
def trade(call: Call) -> bytes:
    code = wire.expand_code(call.request.required("code", wire.NO_CODE))
    if text := call.request.raw("date"):
        return _dated(call, code, text)
    return _list_ticks(call.today, today_ticks(call, code)[-TODAY_PAGE:])


@prefix_errors(TICK_ERROR)
def minute_trade_all(call: Call) -> bytes:
    code = wire.expand_code(call.request.required("code", wire.CODE_REQUIRED, trim=True))
    if text := call.request.trimmed("date"):
        return _dated(call, code, text)
    return _list_ticks(call.today, today_ticks(call, code))


@prefix_errors("获取历史分时成交失败: ")
def trade_history(call: Call) -> bytes:
    request = call.request
    code, text = request.trimmed("code"), request.trimmed("date")
    if not code or not text:
        raise BadRequest("code 与 date 均为必填参数")
    start = wire.atoi(request.trimmed("start")) if request.trimmed("start") else 0
    if start is None or start < 0:
        raise BadRequest("start 参数无效")
    count = wire.atoi(request.trimmed("count")) if request.trimmed("count") else HISTORY_PAGE
    if count is None or count <= 0:
        raise BadRequest("count 参数无效")
    day = _parse_tick_day(text)
    ticks = day_ticks(call, wire.expand_code(code), day)
    stop = max(len(ticks) - start % 65536, 0)
    return _list_ticks(day or call.today, ticks[max(stop - min(count, HISTORY_PAGE), 0) : stop])


def _range(call: Call) -> tuple[date, date]:
    """First and last day of the request; a start after the end is swapped."""
    request = call.request
    days: dict[str, date | None] = {}
    for name in ("start_date", "end_date", "before"):
        text = request.trimmed(name)
        days[name] = wire.parse_day(text)
        if text and days[name] is None:
            raise BadRequest(name + " 参数格式错误，应为 YYYYMMDD 或 YYYY-MM-DD")
    start = days["start_date"] or call.today - timedelta(days=30)
    end = days["before"] or days["end_date"] or call.today
    return (end, start) if start > end else (start, end)


@prefix_errors(TICK_ERROR)
def trade_history_full(call: Call) -> bytes:
    shown = call.request.required("code", wire.CODE_REQUIRED, trim=True)
    start, end = _range(call)
    limit = wire.parse_limit(call.request.raw("limit"))
    yesterday = call.today - timedelta(days=1)
    days = [day for day in call.days() if start <= day <= min(end, yesterday)]
    if skipped := call.hit("missing-days"):
        days = days[int(skipped.number("days")) :]
    if call.request.trimmed("include_today").lower() in YES:
        days.append(call.today)
    code = wire.expand_code(shown)
    rows: list[bytes] = []
    covered: list[str] = []
    truncated = False
    for day in days:
        ticks = today_ticks(call, code) if day == call.today else day_ticks(call, code, day)
        if ticks:
            covered.append(day.strftime("%Y%m%d"))
        rows += tick_rows(day, ticks, in_yuan=True)
        if limit is not None and len(rows) >= limit:
            rows, truncated = rows[:limit], True
            break
    head = {
        "code": shown,
        "count": len(rows),
        "covered_dates": covered,
        "end_date": end.isoformat(),
        "limit": limit or 0,
    }
    tail = {"start_date": start.isoformat(), "truncated": truncated}
    listed = b",".join(rows)
    return wire.go_json(head)[:-1] + b',"list":[' + listed + b"]," + wire.go_json(tail)[1:]
