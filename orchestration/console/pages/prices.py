"""Pages of prices: candles of a security, main contracts of futures, a chain's smile."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import psycopg

from loaders.errors import UsageError
from orchestration.console.context import Console
from orchestration.console.errors import describe
from orchestration.console.pages import candles
from orchestration.readers import klines, main_contracts, option_chains

SHOWN = 250  # bars of a picture
# days that surely hold as many bars
SPANS = {"1d": 420, "1w": 2000, "1mo": 9000, "1m": 6, "5m": 16, "15m": 35, "30m": 60, "60m": 110}
Values = Mapping[str, Any]


def gather_klines(
    console: Console, code: str, freq: str, adjust: str, end: date | None
) -> dict[str, Any]:
    """Bars up to a day, with the actions among them; a code that is not there is an `error`."""
    values: dict[str, Any] = {
        "code": code,
        "freq": freq,
        "adjust": adjust,
        "end": end,
        "frequencies": klines.FREQUENCIES,
        "adjustments": klines.ADJUSTMENTS,
        "rows": [],
        "error": None,
    }
    if not code.strip():
        return values

    def read(conn: psycopg.Connection) -> dict[str, Any]:
        market = console.require_warehouse().market_schema
        security = klines.find_security(conn, market, code)
        newest = klines.find_newest_day(conn, market, security, freq, adjust)
        until = min(end or date.max, newest or date.max)
        if until == date.max:
            return {"name": security.name, "code": security.code}
        start = date.fromordinal(max(1, until.toordinal() - SPANS[freq]))
        table = klines.read_klines(
            conn, market, security, freq=freq, adjust=adjust, start=start, end=until
        )
        rows = table.slice(max(0, table.num_rows - SHOWN)).to_pylist()
        actions = klines.read_actions(conn, market, security.code, start, until).to_pylist()
        return {"name": security.name, "code": security.code, "rows": rows, "actions": actions}

    return _read(console, values, read, _draw_bars)


def _draw_bars(shown: dict[str, Any]) -> dict[str, Any]:
    rows: Sequence[Values] = shown.get("rows", [])
    if not rows:
        return shown
    time = "bar_end" if "bar_end" in rows[0] else "trade_date"
    marks = {str(action["ex_date"]): _describe_action(action) for action in shown["actions"]}
    # an action between two bars of a week or month is of the later one
    days = [str(row["trade_date"]) for row in rows]
    placed = {next((day for day in days if day >= on), on): text for on, text in marks.items()}
    title = f"{shown['code']} {shown['name'] or ''}"
    return {
        **shown,
        "time": time,
        "actions": [{"day": day, "text": text} for day, text in marks.items() if day >= days[0]],
        "picture": candles.draw_candles(rows, time, placed, title),
        "older": rows[0]["trade_date"] - timedelta(days=1),
    }


def _describe_action(action: Values) -> str:
    parts = {
        "cash": action["cash_per10_yuan"],
        "bonus": action["bonus_total_per10"],
        "rights": action["rights_per10"],
    }
    said = [f"{name} {value.normalize():f}/10" for name, value in parts.items() if value]
    if action["split_ratio"]:
        said.append(f"split {action['split_ratio'].normalize():f}")
    return f"{action['ex_date']}: {', '.join(said) or action['source']}"


def gather_futures(console: Console, variety: str, end: date | None) -> dict[str, Any]:
    """The main contracts of a variety in the year up to a day, with their rolls."""
    values: dict[str, Any] = {"variety": variety, "end": end, "rows": [], "error": None}
    if not variety.strip():
        return values

    def read(conn: psycopg.Connection) -> dict[str, Any]:
        futures = console.require_warehouse().inner_schema("futures")
        table = main_contracts.read_main_contracts(conn, futures, variety, None, end)
        return {"rows": table.slice(max(0, table.num_rows - SHOWN)).to_pylist()}

    def draw(shown: dict[str, Any]) -> dict[str, Any]:
        rows = shown["rows"]
        marks = {
            str(row["trading_day"]): f"{row['trading_day']}: {row['prev_contract']} → "
            f"{row['underlying_contract']}"
            for row in rows
            if row["is_switch"] and row["prev_contract"]
        }
        points = [
            (str(row["trading_day"]), None if row["close"] is None else float(row["close"]))
            for row in rows
        ]
        return {**shown, "picture": candles.draw_line(points, marks, variety), "marks": marks}

    return _read(console, values, read, draw)


def gather_options(
    console: Console, symbol: str, day: date | None, slot: str, expiry: date | None
) -> dict[str, Any]:
    """The smile of an expiry in a slot, or at the close."""
    values: dict[str, Any] = {
        "symbol": symbol,
        "day": day,
        "slot": slot,
        "expiry": expiry,
        "slots": [],
        "expiries": [],
        "rows": [],
        "error": None,
    }
    if not symbol.strip():
        return values

    def read(conn: psycopg.Connection) -> dict[str, Any]:
        options = console.require_warehouse().inner_schema("options")
        on = day or option_chains.list_chains(conn, options).get(symbol)
        if on is None:
            raise UsageError(f"there is no chain of {symbol}")
        table = option_chains.read_option_chain(conn, options, symbol, on, slot or None)
        slots = option_chains.list_slots(conn, options, symbol, on)
        return {"day": on, "slots": slots, "rows": table.to_pylist()}

    def draw(shown: dict[str, Any]) -> dict[str, Any]:
        expiries = sorted({row["expiry"] for row in shown["rows"]})
        chosen = expiry if expiry in expiries else expiries[0]
        rows = [row for row in shown["rows"] if row["expiry"] == chosen]
        series: dict[str, list[tuple[float, float]]] = {"call": [], "put": []}
        for row in rows:
            if row["iv"] is not None and math.isfinite(row["iv"]):
                kind = "call" if row["option_right"].startswith("C") else "put"
                series[kind].append((float(row["strike"]), row["iv"]))
        title = f"{symbol} {shown['day']} {chosen}"
        picture = candles.draw_smile(series, title)
        return {**shown, "expiries": expiries, "expiry": chosen, "rows": rows, "picture": picture}

    return _read(console, values, read, draw)


def _read(console: Console, values: dict[str, Any], read: Any, draw: Any) -> dict[str, Any]:
    """Add what is read and drawn; what is not there is an `error` beside the form."""
    try:
        drawn: dict[str, Any] = draw(console.read(read))
        return values | drawn
    except UsageError as error:
        return values | {"error": describe(error)}
