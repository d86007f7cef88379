"""Answers of the TDX service: envelope, errors, day bars, code list and calendar.

Pure functions from bytes to checked columns. The rules come from the service's reference: HTTP 200
for success and error alike, `code` 0 or -1, two spellings of an empty list, times as exchange wall
clock with an offset that means nothing. loaders.tdx.client.reply checks the shapes.
"""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import orjson

from loaders.requests.http import RetryableAnswer
from loaders.tdx.client.reply import NUMBER, Columns, Kind, Reply, WrongShape, check_fields
from quotemill.errors import UpstreamError

NO_SERVICE = "(an HTML page): there is a server at this address, but it is not a TDX service"
RESTART = "restart the TDX service"
# error texts that the same request would get again
PERMANENT_TEXTS = (
    "不支持",
    "错误,",
    "格式错误",
    "长度错误",
    "参数错误",
    "不能为空",
    "必填",
    "必须大于",
    "无效",
    "只支持",
)
# error texts of quotes: a code missing from the cache, fewer quotes than codes; of April 2026
UNKNOWN_CODE_TEXTS = ("未查询到代码", "，实际", "证券未找到", "未获取到行情")
# a range of the calendar past the newest bar, in a year whose holidays the service does not know
PAST_COVERAGE = re.compile("交易日历仅覆盖至 ([0-9]{4}-[0-9]{2}-[0-9]{2})，且未配置")
EXCHANGES = ("sh", "sz", "bj")
NUMBERS = ("Open", "High", "Low", "Close", "Volume", "Amount", "UpCount", "DownCount", "Last")
BAR_FIELDS: dict[str, Kind] = {"Time": str, **dict.fromkeys(NUMBERS, int)}
LISTING_FIELDS: dict[str, Kind] = {"code": str, "exchange": str, "name": str}
# known, and not read: of bars, of lists of codes and of their rows
UNREAD_META, UNREAD_LIST, UNREAD_LISTING = {"batch_limit", "notes"}, {"exchanges"}, {"last_price"}
# the separators and the clock in the Time of every bar of a day or longer
DAY_STAMP = "--T15:00:00"


class UpstreamTimeout(RetryableAnswer):
    """The service got no answer in time from its quote server (`超时`)."""


class EmptyAnswer(RetryableAnswer):
    """Success without rows where rows are due; no evidence that no data exist."""


class PermanentAnswer(UpstreamError):
    """The same request would get this answer again."""


class NoRoute(PermanentAnswer):
    """This service has no such route."""


class UnknownCode(PermanentAnswer):
    """Quotes of several codes failed because the service cannot serve one of them."""


class NeedsRestart(PermanentAnswer):
    """The service runs half-initialised; only a restart helps."""


class OtherContract(PermanentAnswer):
    """The route has the contract of April 2026, which wants other parameters."""


class PastCoverage(PermanentAnswer):
    """The calendar answers no range that runs past `until`, the day of its newest bar."""

    def __init__(self, what: str, until: date) -> None:
        super().__init__(what)
        self.until = until


class Outage(UpstreamError):
    """The service lost its quote server; until it is back, no request succeeds."""


class Listing(NamedTuple):
    """A security of the service's code list. `code` is 'sh600000'."""

    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BarColumns(Columns):
    """Columns of bars of any length besides their time, ascending.

    open, high, low, close: li (0.001 yuan; indices: 0.001 point); adjusted ones may be below 0
    volume: hands of 100 shares
    amount: li; 0 in adjusted bars, which have no turnover
    up, down: advancing and declining members of an index; 0 for anything else
    source_route: the route that answered
    fetched_at: when the request was sent, UTC

    Contradicting bars of one time all stay; loaders.tdx.bars.plausibility rejects them.
    """

    open: list[int]
    high: list[int]
    low: list[int]
    close: list[int]
    volume: list[int]
    amount: list[int]
    up: list[int]
    down: list[int]
    source_route: str
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Bars(BarColumns):
    """Bars of a day, a week or a month; `dates` are the last days that they cover."""

    dates: list[date]

    def __len__(self) -> int:
        return len(self.dates)

    def row(self, index: int) -> dict[str, Any]:
        """One bar as plain values, the day as ISO text under `trade_date`."""
        numbers = {name: getattr(self, name)[index] for name in COLUMNS}
        return {"trade_date": self.dates[index].isoformat()} | numbers


COLUMNS = BarColumns.columns()


@dataclass(frozen=True, slots=True)
class BarShape:
    """Spelling of a route's answer of bars.

    key: the field with the rows
    count: the field with their number
    period: the period asked for; `meta.type`, where `source` is set, must equal it
    source: what `meta.source` must be; None for a route without `meta`
    """

    key: str
    count: str
    period: str
    source: str | None = None


def open_envelope(
    route: str, subject: str, status: int, content: bytes, unknown: Counter[str]
) -> Any:
    """The `data` of a successful answer about `subject`; else raises its error."""
    what = f"{route} {subject}".rstrip()
    if status >= 500 or status == 429:
        raise RetryableAnswer(f"{what}: HTTP {status}")
    is_page = content.lstrip().startswith(b"<")
    if status != 200:
        seen = NO_SERVICE if is_page else _shorten(content)
        raise (NoRoute if status == 404 else PermanentAnswer)(
            f"{what}: HTTP {status} {seen}",
            hint="Check that tdx.base_url is the address of a TDX service.",
        )
    if not content:
        raise PermanentAnswer(
            f"{what}: HTTP 200 with an empty body",
            hint="Do not retry: the service responds like this when an index is requested "
            "as a stock.",
        )
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        seen = NO_SERVICE if is_page else f"not JSON, or cut off ({error})"
        raise RetryableAnswer(f"{what}: {seen}", hint="Check tdx.base_url.") from None
    check_fields(route, None, answer, {"code": int, "message": str}, {"data"}, unknown, "envelope.")
    if answer["code"] not in (0, -1):
        raise WrongShape(route, None, "code", f"must be 0 or -1, not {answer['code']}")
    if answer["code"] == -1:
        raise classify_failure(what, answer["message"])
    if "data" not in answer:
        raise WrongShape(route, None, "data", "is missing")
    return answer["data"]


def classify_failure(what: str, message: str) -> UpstreamError:
    """The error of a -1 answer. Its text is free, so an unknown one is retryable."""
    what = f"{what}: {message}"
    if "use of closed network connection" in message:
        return Outage(what)
    if "超时" in message:
        return UpstreamTimeout(what, hint="Restart the TDX service if this continues.")
    if past := PAST_COVERAGE.search(message):
        with suppress(ValueError):
            return PastCoverage(what, date.fromisoformat(past[1]))
    if "full_code" in message:
        return OtherContract(what)
    if "无盘中数据" in message:
        return EmptyAnswer(what)
    if "未初始化" in message:
        return NeedsRestart(what, hint="Restart the TDX service (it started only partly).")
    if any(text in message for text in UNKNOWN_CODE_TEXTS):
        return UnknownCode(what)
    if any(text in message for text in PERMANENT_TEXTS):
        return PermanentAnswer(what)
    return RetryableAnswer(what)


def read_bars(reply: Reply, shape: BarShape) -> Bars:
    """Bars of a day or longer, ascending; contradicting ones of a day all stay."""
    times, *numbers = bar_columns(reply, shape)
    days, *numbers = reply.in_order([_days(reply, times), *numbers])
    columns = dict(zip(COLUMNS, numbers, strict=True))
    return Bars(days, **columns, source_route=reply.route, fetched_at=reply.fetched_at)


def bar_columns(reply: Reply, shape: BarShape) -> list[list[Any]]:
    """The column Time, then the number columns."""
    reply.head({shape.count: int} | ({"meta": dict} if shape.source else {}), {shape.key})
    if shape.source:
        meta = reply.data["meta"]
        reply.check(None, meta, {"source": str, "type": str}, UNREAD_META, "meta.")
        for name, wanted in (("source", shape.source), ("type", shape.period)):
            if meta[name] != wanted:
                raise reply.wrong(None, f"meta.{name}", f"must be {wanted}, not {meta[name]!r}")
    return reply.columns(shape.key, BAR_FIELDS)[:-1]


def _days(reply: Reply, times: list[str]) -> list[date]:
    """Days of the stamps, without the server's zone after the 19th character."""
    try:
        if {t[4:5] + t[7:8] + t[10:19] for t in times} <= {DAY_STAMP}:
            return [date.fromisoformat(t[:10]) for t in times]
    except ValueError:
        pass
    for index, text in enumerate(times):
        read_day(reply, index, "Time", text[:10])
        if text[10:19] != DAY_STAMP[2:]:
            raise reply.wrong(index, "Time", f"a day bar ends at 15:00:00, not {text!r}")
    raise AssertionError("one of the stamps is wrong")


def read_factors(reply: Reply) -> dict[date, float]:
    """Forward factors by day: an adjusted close divided by the raw one."""
    reply.head({"count": int}, {"code", "full_code", "items"})
    fields: dict[str, Kind] = {"ex_date": str, "forward_factor": NUMBER, "backward_factor": NUMBER}
    texts, factors, _ = reply.columns("items", fields)
    days = (read_day(reply, row, "ex_date", text) for row, text in enumerate(texts))
    return dict(zip(days, map(float, factors), strict=True))


def read_listings(reply: Reply, key: str) -> list[Listing]:
    """Securities in the order of the answer, each once, with the last name given."""
    reply.head({"total": int}, {key, *UNREAD_LIST})
    listings: dict[str, Listing] = {}
    for index, row in enumerate(reply.rows(key)):
        reply.check(index, row, LISTING_FIELDS, UNREAD_LISTING, f"{key}.")
        digits, exchange = row["code"], row["exchange"]
        if not (len(digits) == 6 and digits.isascii() and digits.isdigit()):
            raise reply.wrong(index, "code", f"must be six digits, not {digits!r}")
        if exchange not in EXCHANGES:
            reply.odd(f"unknown_exchange.{exchange}")
            continue
        code = exchange + digits
        if code in listings:
            reply.odd("repeated_code")
        # the service pads names with NULs, which PostgreSQL's text cannot hold
        listings[code] = Listing(code, row["name"].replace("\0", "").strip())
    return list(listings.values())


def read_workdays(reply: Reply, start: date, end: date) -> list[date]:
    """Trading days in [start, end], ascending."""
    reply.head({"count": int}, {"list"})
    days = set()
    for index, row in enumerate(reply.rows("list")):
        reply.check(index, row, {"iso": str, "numeric": str}, path="list.")
        day = read_day(reply, index, "list.iso", row["iso"])
        if row["numeric"] != row["iso"].replace("-", ""):
            raise reply.wrong(index, "list.numeric", f"{row['numeric']!r} is another day")
        if not start <= day <= end:
            raise reply.wrong(index, "list.iso", f"{day} lies outside {start} to {end}")
        days.add(day)
    return sorted(days)


def read_day(reply: Reply, row: int | None, field: str, text: str) -> date:
    """A day in the form 2019-02-01; WrongShape for any other text."""
    try:
        if len(text) == 10 and text[4] == text[7] == "-":
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise reply.wrong(row, field, f"{text!r} is not a day like 2019-02-01")


def _shorten(content: bytes) -> str:
    return content[:80].decode("utf-8", "replace").strip()
