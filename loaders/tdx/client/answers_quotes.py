"""Shapes of snapshots: quotes, the parts of stock-info, counts of the market."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from loaders.tdx.client.answers import EXCHANGES, Bars, BarShape, PermanentAnswer, read_bars
from loaders.tdx.client.answers_intraday import MinutePoints, read_minute_points
from loaders.tdx.client.reply import BIGINT, NUMBER, Kind, Reply, WrongShape

T = TypeVar("T")

EXCHANGE_NUMBERS = {0: "sz", 1: "sh", 2: "bj"}
LEVELS = 5
LI = Decimal("0.001")
MOST_YUAN = 1e20  # the most that the landed column holds
QUOTE_FIELDS: dict[str, Kind] = {
    "Exchange": int,
    "Code": str,
    "K": dict,
    "ServerTime": str,
    "TotalHand": int,
    "Intuition": int,
    "Amount": NUMBER,
    "InsideDish": int,
    "OuterDisc": int,
    "BuyLevel": list,
    "SellLevel": list,
    "Active1": int,
    "Active2": int,
}
UNREAD_QUOTE = {"Rate", *(f"ReversedBytes{i}" for i in range(10))}
UNREAD_STATS = {"update_time", "updated_at", "asset_type", "status", "status_hint", "summary"}
UNREAD_COUNTS = {"up_ratio", "limit_up", "limit_down", "total_amount", "total_volume"}
K_FIELDS: dict[str, Kind] = dict.fromkeys(("Last", "Open", "High", "Low", "Close"), int)
LEVEL_FIELDS: dict[str, Kind] = {"Buy": bool, "Price": int, "Number": int}
LAST_DAYS = BarShape("List", "Count", "day")
# of the build of April 2026
YUAN_PRICES = ("prev_close", "open", "high", "low", "price")
YUAN_FIELDS: dict[str, Kind] = {
    "full_code": str,
    **dict.fromkeys((*YUAN_PRICES, "amount"), NUMBER),
    "volume": int,
    "bids": list,
    "asks": list,
}
YUAN_LEVEL_FIELDS: dict[str, Kind] = {"level": int, "price": NUMBER, "volume": int}
UNREAD_YUAN = {"code", "name", "exchange", "asset_type", "change", "change_pct", "quote_time"}
UNREAD_YUAN |= {"trading_status", "is_halted", "is_limit_up", "is_limit_down"}
UNREAD_YUAN |= {"status_source", "status_reason"}


@dataclass(frozen=True, slots=True)
class Quote:
    """The state of one security; 0 where nothing traded yet.

    previous_close, open, high, low: li
    close: the last price, li
    total_hand, current_hand: hands
    amount_yuan: yuan, rounded to li
    bids, asks: five pairs of price (li) and volume (hands), the best first
    inside_dish, outer_disc, server_time, active1, active2: as the source has them, not interpreted
    fetched_at: when the request was sent, UTC

    The build of April 2026 has neither those five nor current_hand: None.
    """

    code: str
    previous_close: int
    open: int
    high: int
    low: int
    close: int
    total_hand: int
    current_hand: int | None
    amount_yuan: Decimal
    inside_dish: int | None
    outer_disc: int | None
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    server_time: str | None
    active1: int | None
    active2: int | None
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class StockInfo:
    """Three parts of one answer, each None where it is missing or refused.

    quote: the state of the security
    kline_day: the newest 30 days of the third-party page, forward-adjusted, without turnover
    minute: the minutes of the day that the answer names
    faults: by part, why it is None
    fetched_at: when the request was sent, UTC
    """

    quote: Quote | None
    kline_day: Bars | None
    minute: MinutePoints | None
    faults: dict[str, str]
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of one exchange.

    total: stocks in the service's cache
    up, down, flat: by the sign of a stale price; no measure of breadth
    """

    total: int
    up: int
    down: int
    flat: int


def read_quotes(reply: Reply, codes: Sequence[str]) -> list[Quote]:
    """One quote per requested code, in that order; WrongShape for anything else."""
    rows, read = reply.data, _quote
    if type(rows) is dict:  # April 2026: many have `items`, one has none
        rows, read = reply.rows("items") if "items" in rows else [rows], _quote_in_yuan
    if type(rows) is not list:
        raise reply.wrong(None, "data", "not a list of quotes")
    if len(rows) != len(codes):
        raise reply.wrong(None, "data", f"{len(rows)} quotes for {len(codes)} codes")
    return [
        read(reply, index, row, code)
        for index, (row, code) in enumerate(zip(rows, codes, strict=True))
    ]


def _quote(reply: Reply, row: int | None, value: Any, code: str) -> Quote:
    reply.check(row, value, QUOTE_FIELDS, UNREAD_QUOTE)
    answered = EXCHANGE_NUMBERS.get(value["Exchange"], "?") + value["Code"]
    if answered != code:
        raise reply.wrong(row, "Code", f"{answered} is not {code}")
    k = value["K"]
    reply.check(row, k, K_FIELDS, path="K.")
    for name, number in (value | k).items():
        if type(number) is int and not -BIGINT <= number < BIGINT:
            raise reply.wrong(row, name, "does not fit a 64-bit number")
    return Quote(
        code=code,
        previous_close=k["Last"],
        open=k["Open"],
        high=k["High"],
        low=k["Low"],
        close=k["Close"],
        total_hand=value["TotalHand"],
        current_hand=value["Intuition"],
        amount_yuan=_yuan(reply, row, "Amount", value["Amount"]),
        inside_dish=value["InsideDish"],
        outer_disc=value["OuterDisc"],
        bids=_levels(reply, row, "BuyLevel", value),
        asks=_levels(reply, row, "SellLevel", value),
        server_time=value["ServerTime"],
        active1=value["Active1"],
        active2=value["Active2"],
        fetched_at=reply.fetched_at,
    )


def _levels(
    reply: Reply, row: int | None, name: str, quote: dict[str, Any]
) -> tuple[tuple[int, int], ...]:
    levels = quote[name]
    if len(levels) != LEVELS:
        raise reply.wrong(row, name, f"{len(levels)} levels, not {LEVELS}")
    for level in levels:
        reply.check(row, level, LEVEL_FIELDS, path=f"{name}.")
        if level["Buy"] is not (name == "BuyLevel"):
            raise reply.wrong(row, f"{name}.Buy", "a level of the other side")
    return tuple((level["Price"], level["Number"]) for level in levels)


def _yuan(reply: Reply, row: int | None, name: str, value: float) -> Decimal:
    if abs(value) > MOST_YUAN:
        raise reply.wrong(row, name, f"not a turnover: {value}")
    # the service's float decoder writes 5.877e-39 for an exact zero
    return Decimal(str(value)).quantize(LI)


def _quote_in_yuan(reply: Reply, row: int | None, value: Any, code: str) -> Quote:
    reply.check(row, value, YUAN_FIELDS, UNREAD_YUAN)
    if value["full_code"] != code:
        raise reply.wrong(row, "full_code", f"{value['full_code']} is not {code}")
    hands, odd = divmod(value["volume"], 100)
    if odd or abs(hands) >= BIGINT:
        raise reply.wrong(row, "volume", f"{value['volume']} is not a number of hands")
    sides = []
    for name in ("bids", "asks"):
        if len(value[name]) != LEVELS:
            raise reply.wrong(row, name, f"{len(value[name])} levels, not {LEVELS}")
        for level in value[name]:
            reply.check(row, level, YUAN_LEVEL_FIELDS, path=f"{name}.")
        prices = reply.li([level["price"] for level in value[name]], f"{name}.price")
        sides.append(tuple(zip(prices, (level["volume"] for level in value[name]), strict=True)))
    previous, opened, high, low, close = (reply.li([value[n]], n)[0] for n in YUAN_PRICES)
    return Quote(
        code=code,
        previous_close=previous,
        open=opened,
        high=high,
        low=low,
        close=close,
        total_hand=hands,
        current_hand=None,
        amount_yuan=_yuan(reply, row, "amount", value["amount"]),
        inside_dish=None,
        outer_disc=None,
        bids=sides[0],
        asks=sides[1],
        server_time=None,
        active1=None,
        active2=None,
        fetched_at=reply.fetched_at,
    )


def read_stock_info(reply: Reply, code: str) -> StockInfo:
    """The parts, each read on its own: a bad one does not affect the others."""
    reply.head({}, ("quote", "kline_day", "minute"))
    faults: dict[str, str] = {}

    def part(name: str, read: Callable[[Reply], T]) -> T | None:
        if name not in reply.data:
            faults[name] = "left out"
            return None
        try:
            return read(replace(reply, data=reply.data[name]))
        except WrongShape as error:
            faults[name] = f"field {error.field}: {error.rule}"
            return None

    return StockInfo(
        quote=part("quote", lambda quote: _quote(quote, None, quote.data, code)),
        kline_day=part("kline_day", lambda days: read_bars(days, LAST_DAYS)),
        minute=part("minute", lambda minutes: read_minute_points(minutes, None)),
        faults=faults,
        fetched_at=reply.fetched_at,
    )


def read_stats(reply: Reply) -> dict[str, Counts]:
    """Counts of each exchange. All three must be present, and no count negative."""
    if type(reply.data) is dict and "status" in reply.data and "sh" not in reply.data:
        raise PermanentAnswer(f"market-stats: no data, {reply.data['status']}")
    reply.head(dict.fromkeys(EXCHANGES, dict), UNREAD_STATS)
    names = ("total", "up", "down", "flat")
    for exchange in EXCHANGES:
        counts = reply.data[exchange]
        reply.check(None, counts, dict.fromkeys(names, int), UNREAD_COUNTS, f"{exchange}.")
        if min(counts[name] for name in names) < 0:
            raise reply.wrong(None, exchange, "a count is negative")
    return {e: Counts(*(reply.data[e][name] for name in names)) for e in EXCHANGES}


def read_counts(reply: Reply) -> dict[str, int]:
    """Instruments of each exchange, bonds and indices included."""
    reply.head({"total": int, "exchanges": list})
    counts: dict[str, int] = {}
    for index, row in enumerate(reply.rows("exchanges")):
        reply.check(index, row, {"exchange": str, "count": int}, path="exchanges.")
        if row["exchange"] in counts or row["count"] < 0:
            raise reply.wrong(index, "exchanges", "repeated, or negative")
        counts[row["exchange"]] = row["count"]
    if set(counts) != set(EXCHANGES):
        raise reply.wrong(None, "exchanges", f"{sorted(counts)} are not the three exchanges")
    total = reply.data["total"]
    if sum(counts.values()) != total:
        raise reply.wrong(None, "total", f"{total} is not the sum of its exchanges")
    return counts
