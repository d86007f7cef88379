"""Answers about instruments; of a GraphQL query only the arguments are read."""

import math
import re
from datetime import date, datetime, timedelta
from typing import Any

from loaders.sandbox.tq.exchange import Contract, Row
from loaders.sandbox.tq.market import Market
from loaders.sandbox.tq.replay import trading_day
from loaders.sandbox.tq.varieties import CST, NS, Hours, Variety, nanoseconds

Node = dict[str, Any]
MAIN = "KQ.m@"


def find_instruments(market: Market, query: str, variables: dict[str, Any]) -> list[Node]:
    """The instruments that a query names, or all that match its other arguments.

    Raises KeyError for a named contract of before FIRST_LISTED, and for one that is named in a
    variable and not listed: so the client names those of its own list.
    """
    arguments = _read_arguments(query, variables)
    symbols = arguments.get("instrument_id")
    for symbol in symbols or ():
        contract = market.contract(symbol)
        is_own = contract is None and variables and not _is_hidden(market, symbol)
        if is_own or (contract and not contract.is_listed):
            raise KeyError(symbol)
    if symbols is None:
        varieties = market.world.varieties.values()
        symbols = [c.code for v in varieties for c in market.contracts(v.code) if c.is_listed]
        symbols += [v.series for v in varieties]
    else:
        symbols = [symbol for symbol in symbols if not _is_hidden(market, symbol)]
    nodes = [node for node in (describe_instrument(market, symbol) for symbol in symbols) if node]
    for name in ("class", "exchange_id", "product_id"):
        if arguments.get(name):
            nodes = [node for node in nodes if node.get(name) in arguments[name]]
    if arguments.get("expired"):
        wanted = arguments["expired"][0] == "true"
        nodes = [node for node in nodes if node.get("expired", False) == wanted]
    if arguments.get("has_night"):
        wanted = arguments["has_night"][0] == "true"
        nodes = [node for node in nodes if bool(node["trading_time"]["night"]) == wanted]
    return nodes


def _is_hidden(market: Market, symbol: str) -> bool:
    kinds = ("unknown", "undescribed")
    return any(market.faults.find_rules(kind, symbol=symbol) for kind in kinds)


def describe_instrument(market: Market, symbol: str) -> Node | None:
    if market.faults.find_rules("unknown", symbol=symbol):
        return None
    if symbol.startswith(MAIN):
        variety = market.world.varieties.get(symbol.removeprefix(MAIN))
        return _continuous(market, variety) if variety else None
    contract = market.contract(symbol)
    return _future(market, contract) if contract else None


def make_quote(market: Market, symbol: str) -> Node:
    """The newest tick as a quote; absent levels are "-"."""
    quote: Node = {"instrument_id": symbol}
    if describe_instrument(market, symbol) is None:
        return quote
    if row := _newest_tick(market, symbol):
        quote |= {name: "-" if value == "" else value for name, value in row.items()}
        stamp = datetime.fromtimestamp(row["datetime"] // NS, CST)
        stamp += timedelta(microseconds=row["datetime"] % NS // 1000)
        quote |= {
            "datetime": stamp.strftime("%Y-%m-%d %H:%M:%S.%f"),
            "close": "-",
            "settlement": "-",
            **_figures_of_day(market, symbol, trading_day(row["datetime"], market.world.calendar)),
        }
    if symbol.startswith(MAIN):
        variety = symbol.removeprefix(MAIN)
        quote["underlying_symbol"] = market.main_on(variety, market.today) or ""
    return quote


def _newest_tick(market: Market, symbol: str) -> Row | None:
    if rule := next(iter(market.faults.find_rules("frozen-quote", contract=symbol)), None):
        rows = market.day_ticks(symbol, date.fromisoformat(rule.option("day")))
        return rows[-1] if rows else None
    series = market.series(symbol, 0, quoted=True)
    return series.row(series.last_id)


def _figures_of_day(market: Market, symbol: str, day: date) -> Node:
    """Opening price, limits, and what a quote has of the trading day before.

    Limits are 7 % from its settlement price; on the first day of all, from the opening price.
    """
    world = market.world
    code = market.main_on(symbol.removeprefix(MAIN), day) if symbol.startswith(MAIN) else symbol
    contract = world.contract(code or "")
    if contract is None:
        return {}
    today = market.day_ticks(contract.code, day, damaged=False)
    end = world.sessions(contract.variety.code, day)[-1][1]
    if market.now >= end and market.faults.find_rules("next-figures", contract=contract.code):
        eve = day
    else:
        eve = world.previous(day)
    before = market.day_ticks(contract.code, eve, damaged=False)
    opening = (today or before)[0]["last_price"]
    settled, tick = market.settlement(contract.code, eve) or opening, contract.variety.tick
    decimals = contract.variety.decimals
    return {
        "open": opening,
        "pre_settlement": settled,
        "pre_close": before[-1]["last_price"] if before else opening,
        "pre_open_interest": world.open_interest(contract, eve),
        "upper_limit": round(math.floor(settled * 1.07 / tick) * tick, decimals),
        "lower_limit": round(math.ceil(settled * 0.93 / tick) * tick, decimals),
    }


def _read_arguments(query: str, variables: dict[str, Any]) -> dict[str, list[str]]:
    """Arguments `name: ["a", "b"]`, `name: word`, `name: $variable` as lists."""
    inner = re.search(r"multi_symbol_info\s*\((.*?)\)\s*\{", query, re.S)
    arguments: dict[str, list[str]] = {}
    for name, value in re.findall(
        r"(\w+)\s*:\s*(\[[^\]]*\]|\$\w+|[\w.\"]+)", inner[1] if inner else ""
    ):
        if value.startswith("$"):
            given = variables.get(value[1:])
            if given is not None:
                texts = given if isinstance(given, list) else [given]
                arguments[name] = [
                    str(text).lower() if isinstance(text, bool) else str(text) for text in texts
                ]
        else:
            arguments[name] = re.findall(r"[\w.@]+", value)
    return arguments


def _hours(hours: Hours) -> list[list[str]]:
    return [[start, end] for start, end in hours]


def _base(market: Market, symbol: str, variety: Variety) -> Node:
    return {
        "instrument_id": symbol,
        "instrument_name": symbol,
        "english_name": symbol,
        "exchange_id": variety.exchange,
        "price_tick": variety.tick,
        "price_decs": variety.decimals,
        "volume_multiple": variety.multiple,
        "quote_multiple": 1,
        "trading_time": {"day": _hours(variety.day), "night": _hours(variety.night)},
        "trading_day": market.today.strftime("%Y%m%d"),
        "upper_limit": None,
        "lower_limit": None,
        "pre_close": None,
    }


def _continuous(market: Market, variety: Variety) -> Node:
    main = market.main_on(variety.code, market.today)
    under = describe_instrument(market, main) if main else None
    edges = [{"underlying_multiple": 1, "node": under}] if under else []
    return {
        **_base(market, variety.series, variety),
        "__typename": "cont",
        "class": "CONT",
        "exchange_id": "KQ",
        "instrument_name": f"{variety.name}主连",
        "underlying": {"count": len(edges), "edges": edges},
    }


def _future(market: Market, contract: Contract) -> Node:
    variety = contract.variety
    end = nanoseconds(contract.expires, "15:00:00")
    lacking = market.faults.find_rules("no-terms", contract=contract.code)
    return {
        **_base(market, contract.code, variety),
        "__typename": "future",
        "class": "FUTURE",
        "instrument_name": f"{variety.name}{contract.year % 100:02d}{contract.month:02d}",
        "expired": end <= market.now,
        "product_id": variety.product,
        "product_short_name": variety.name,
        "delivery_year": contract.year,
        "delivery_month": contract.month,
        "expire_datetime": end,
        "settlement_price": None,
        "max_market_order_volume": 0,
        "max_limit_order_volume": 500,
        "min_market_order_volume": 0,
        "min_limit_order_volume": 1,
        "open_limit": 0,
        "margin": None if lacking else 20000.0,
        "commission": None if lacking else 12.0,
        "mmsa": False,
        "categories": [],
        "position_limit": 0,
        "pre_open_interest": 0,
    }
