"""Shapes of what is true for a moment: quotes, the parts of stock-info, counts of the market."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from loaders.tdx.service.answers import (
    BIGINT,
    EXCHANGES,
    NUMBER,
    Bars,
    BarShape,
    Kind,
    WrongShape,
    check_fields,
    read_bars,
    read_list,
)
from loaders.tdx.service.answers_intraday import MinutePoints, read_minute_points

T = TypeVar("T")

EXCHANGE_NUMBERS = {0: "sz", 1: "sh", 2: "bj"}
LEVELS = 5
LI = Decimal("0.001")
MOST_YUAN = 1e20  # what the landed column holds
QUOTE_FIELDS: dict[str, Kind] = {
    "Exchange": int, "Code": str, "K": dict, "ServerTime": str, "TotalHand": int, "Intuition": int,
    "Amount": NUMBER, "InsideDish": int, "OuterDisc": int, "BuyLevel": list, "SellLevel": list,
    "Active1": int, "Active2": int,
}  # fmt: skip
KNOWN_QUOTE_FIELDS = {"Rate", *(f"ReversedBytes{i}" for i in range(10))}
K_FIELDS: dict[str, Kind] = dict.fromkeys(("Last", "Open", "High", "Low", "Close"), int)
LEVEL_FIELDS: dict[str, Kind] = {"Buy": bool, "Price": int, "Number": int}
LAST_DAYS = BarShape("List", "Count", "day")


@dataclass(frozen=True, slots=True)
class Quote:
    """The state of one security. Prices in li, volumes in hands; what has not traded has 0.

    `close` is the last price. `amount_yuan` is rounded to li. `bids` and `asks` are five pairs of
    price and volume, the best first. `server_time`, `active1`, `active2`, `inside_dish` and
    `outer_disc` are the source's own and not interpreted. `fetched_at` is UTC.
    """

    code: str
    previous_close: int
    open: int
    high: int
    low: int
    close: int
    total_hand: int
    current_hand: int
    amount_yuan: Decimal
    inside_dish: int
    outer_disc: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    server_time: str
    active1: int
    active2: int
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class StockInfo:
    """Three parts, each None where it was left out or refused; `faults` then says why, by part.

    `kline_day` holds the newest 30 days of the third-party page, forward-adjusted, no turnover.
    """

    quote: Quote | None
    kline_day: Bars | None
    minute: MinutePoints | None
    faults: dict[str, str]
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one exchange: stocks in the cache. The rest is the sign of a stale price, not breadth."""

    total: int
    up: int
    down: int
    flat: int


def read_quotes(
    route: str, data: Any, *, codes: Sequence[str], fetched_at: datetime, unknown: Counter[str]
) -> list[Quote]:
    """One quote for each code asked for, in that order; anything else is refused."""
    if type(data) is not list:
        raise WrongShape(route, None, "data", "not a list of quotes")
    if len(data) != len(codes):
        raise WrongShape(route, None, "data", f"{len(data)} quotes for {len(codes)} codes")
    return [
        read_quote(route, index, row, code=code, fetched_at=fetched_at, unknown=unknown)
        for index, (row, code) in enumerate(zip(data, codes, strict=True))
    ]


def read_quote(
    route: str, row: int | None, value: Any, *, code: str, fetched_at: datetime,
    unknown: Counter[str],
) -> Quote:  # fmt: skip
    """The quote of `code`."""
    check_fields(route, row, value, QUOTE_FIELDS, KNOWN_QUOTE_FIELDS, unknown)
    answered = EXCHANGE_NUMBERS.get(value["Exchange"], "?") + value["Code"]
    if answered != code:
        raise WrongShape(route, row, "Code", f"{answered} is not {code}")
    k = value["K"]
    check_fields(route, row, k, K_FIELDS, (), unknown, "K.")
    for name, number in (value | k).items():
        if type(number) is int and not -BIGINT <= number < BIGINT:
            raise WrongShape(route, row, name, "does not fit a 64-bit number")
    if abs(value["Amount"]) > MOST_YUAN:
        raise WrongShape(route, row, "Amount", f"{value['Amount']} is no turnover")
    return Quote(
        code=code,
        previous_close=k["Last"],
        open=k["Open"],
        high=k["High"],
        low=k["Low"],
        close=k["Close"],
        total_hand=value["TotalHand"],
        current_hand=value["Intuition"],
        amount_yuan=_yuan(value["Amount"]),
        inside_dish=value["InsideDish"],
        outer_disc=value["OuterDisc"],
        bids=_levels(route, row, "BuyLevel", value, unknown),
        asks=_levels(route, row, "SellLevel", value, unknown),
        server_time=value["ServerTime"],
        active1=value["Active1"],
        active2=value["Active2"],
        fetched_at=fetched_at,
    )


def _levels(
    route: str, row: int | None, name: str, quote: dict[str, Any], unknown: Counter[str]
) -> tuple[tuple[int, int], ...]:
    levels = quote[name]
    if len(levels) != LEVELS:
        raise WrongShape(route, row, name, f"{len(levels)} levels, not {LEVELS}")
    for level in levels:
        check_fields(route, row, level, LEVEL_FIELDS, (), unknown, f"{name}.")
        if level["Buy"] is not (name == "BuyLevel"):
            raise WrongShape(route, row, f"{name}.Buy", "a level of the other side")
    return tuple((level["Price"], level["Number"]) for level in levels)


def _yuan(value: float) -> Decimal:
    # the service's float decoder writes 5.877e-39 for an exact zero
    return Decimal(str(value)).quantize(LI)


def read_stock_info(
    route: str,
    data: Any,
    *,
    code: str,
    fetched_at: datetime,
    unknown: Counter[str],
    oddities: Counter[str],
) -> StockInfo:
    """The parts one by one: a bad one leaves the others as they are."""
    parts: tuple[str, ...] = ("quote", "kline_day", "minute")
    check_fields(route, None, data, {}, parts, unknown)
    faults: dict[str, str] = {}

    def part(name: str, read: Callable[[Any], T]) -> T | None:
        if name not in data:
            faults[name] = "left out"
            return None
        try:
            return read(data[name])
        except WrongShape as error:
            faults[name] = f"field {error.field}: {error.rule}"
            return None

    def quote(value: Any) -> Quote:
        return read_quote(route, None, value, code=code, fetched_at=fetched_at, unknown=unknown)

    def days(value: Any) -> Bars:
        return read_bars(
            route, value, shape=LAST_DAYS, fetched_at=fetched_at, unknown=unknown, oddities=oddities
        )

    def minutes(value: Any) -> MinutePoints:
        return read_minute_points(
            route, value, day=None, fetched_at=fetched_at, unknown=unknown, oddities=oddities
        )

    return StockInfo(
        quote=part("quote", quote),
        kline_day=part("kline_day", days),
        minute=part("minute", minutes),
        faults=faults,
        fetched_at=fetched_at,
    )


def read_stats(route: str, data: Any, *, unknown: Counter[str]) -> dict[str, Counts]:
    """What the service counts of each exchange. All three must be named, with 0 at least."""
    required: dict[str, Kind] = dict.fromkeys(EXCHANGES, dict)
    check_fields(route, None, data, required, {"update_time"}, unknown)
    names = ("total", "up", "down", "flat")
    for exchange in EXCHANGES:
        fields: dict[str, Kind] = dict.fromkeys(names, int)
        check_fields(route, None, data[exchange], fields, (), unknown, f"{exchange}.")
        if min(data[exchange][name] for name in names) < 0:
            raise WrongShape(route, None, exchange, "a count is negative")
    return {e: Counts(*(data[e][name] for name in names)) for e in EXCHANGES}


def read_counts(route: str, data: Any, *, unknown: Counter[str]) -> dict[str, int]:
    """Instruments of each exchange, bonds and indices included."""
    check_fields(route, None, data, {"total": int, "exchanges": list}, (), unknown)
    found: dict[str, int] = {}
    for index, row in enumerate(read_list(route, data, "exchanges")):
        check_fields(route, index, row, {"exchange": str, "count": int}, (), unknown, "exchanges.")
        if row["exchange"] in found or row["count"] < 0:
            raise WrongShape(route, index, "exchanges", "named twice, or less than none")
        found[row["exchange"]] = row["count"]
    if set(found) != set(EXCHANGES):
        raise WrongShape(route, None, "exchanges", f"{sorted(found)} are not the three exchanges")
    if sum(found.values()) != data["total"]:
        raise WrongShape(route, None, "total", f"{data['total']} is not the sum of its exchanges")
    return found
