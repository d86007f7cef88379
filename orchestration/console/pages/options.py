"""Pages of option chains: the smile of an expiry."""

import contextlib
import math
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any

import psycopg

from orchestration.console.context import Console
from orchestration.console.pages import chains
from orchestration.console.pages.prices import Values, explain_nothing
from orchestration.console.pages.site import add_or_explain
from orchestration.console.pages.words import mark
from quotemill.errors import UsageError
from quotemill.readers import option_chains


def gather_options(
    console: Console,
    symbol: str = "",
    day: date | None = None,
    slot: str = "",
    expiry: date | None = None,
    class_: str = "",
) -> dict[str, Any]:
    """The smile of an expiry in a slot, or at the close; before that in the newest slot.

    Of its classes it is `class_`, else the one with the most contracts.
    """
    values: dict[str, Any] = {
        "symbol": symbol,
        "day": day,
        "slot": slot,
        "expiry": expiry,
        "slots": [],
        "has_close": True,
        "expiries": [],
        "classes": [],
        "rows": [],
        "names": [],
        "absent": None,
        "error": None,
    }
    if not symbol.strip():
        return values | gather_names(console)

    def read(conn: psycopg.Connection) -> dict[str, Any]:
        options = console.require_warehouse().inner_schema("options")
        on = day or option_chains.find_newest_day(conn, options, symbol)
        if on is None:
            known = ", ".join(option_chains.list_chains(conn, options))
            raise UsageError(
                f"there is no chain of {symbol}", hint=f"Choose one of: {known}." if known else ""
            )
        slots = option_chains.list_slots(conn, options, symbol, on)
        has_close = option_chains.has_close(conn, options, symbol, on)
        at = slot or (None if has_close or not slots else slots[-1])
        rows = option_chains.read_option_chain(conn, options, symbol, on, at).to_pylist()
        return {"day": on, "slot": at or "", "slots": slots, "has_close": has_close, "rows": rows}

    def draw() -> dict[str, Any]:
        shown: dict[str, Any] = console.read(read)
        expiries = sorted({row["expiry"] for row in shown["rows"]})
        chosen = expiry if expiry in expiries else expiries[0]
        listed = [row for row in shown["rows"] if row["expiry"] == chosen]
        counts = Counter(map(name_class, listed))
        largest = counts.most_common(1)[0][0]
        own = class_ if class_ in counts else largest
        rows = [row for row in listed if name_class(row) == own]
        lines = {"times": False, "joined": True, "series": draw_smile(rows)}
        return {
            **shown,
            "expiries": expiries,
            "expiry": chosen,
            "classes": sorted(counts),
            "class": own,
            "rows": rows,
            "lines": lines,
        }

    return add_or_explain(values, draw)


def gather_names(console: Console) -> dict[str, Any]:
    """The underlyings to choose from."""
    warehouse = console.find_warehouse()
    names: Iterable[str] = ()
    with contextlib.suppress(UsageError):  # not built yet
        if warehouse is not None:
            options = warehouse.inner_schema("options")
            names = console.read(lambda conn: option_chains.list_chains(conn, options))
    if names:
        return {"names": names}
    return explain_nothing(console, chains.SOURCE, ("/chains", mark("Load due data")))


def draw_smile(rows: list[Values]) -> dict[str, list[tuple[float, float, str]]]:
    """Strike, volatility and its text by right; of one class."""
    series: dict[str, list[tuple[float, float, str]]] = {}
    for row in rows:
        if row["iv"] is not None and math.isfinite(row["iv"]):
            kind = mark("call") if row["option_right"].startswith("C") else mark("put")
            text = f"{kind} {row['strike'].normalize():f}: {row['iv']:.4f}"
            series.setdefault(kind, []).append((float(row["strike"]), row["iv"], text))
    return series


def name_class(row: Values) -> str:
    """The class of a contract, with which its symbol at the exchange begins: SPX, SPXW."""
    return str(row["local_symbol"] or "").partition(" ")[0]
