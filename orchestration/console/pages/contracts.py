"""The page of main contracts of futures: their days and minutes as one series, with the rolls."""

from datetime import date
from functools import partial
from typing import Any
from urllib.parse import urlencode

import psycopg
import pyarrow as pa

from orchestration.console.context import Console
from orchestration.console.pages.prices import Absence, cut_rows, draw_bars, explain_nothing
from orchestration.console.pages.site import add_or_explain
from orchestration.console.pages.words import mark
from quotemill.readers import main_contracts
from quotemill.readers.main_contracts import Adjustment, Frequency

SOURCE = "tq"


def gather_futures(
    console: Console,
    variety: str = "",
    freq: Frequency = "1d",
    adjust: Adjustment = "none",
    end: date | None = None,
) -> dict[str, Any]:
    """The main contracts of a variety up to a day, their chart, all rolls."""
    values: dict[str, Any] = {
        "variety": variety,
        "freq": freq,
        "adjust": adjust,
        "end": end,
        "frequencies": main_contracts.FREQUENCIES,
        "adjustments": main_contracts.ADJUSTMENTS,
        "rows": [],
        "names": [],
        "chart": None,
        "absent": None,
        "error": None,
    }
    if not variety.strip():
        return values | gather_names(console)

    def read(conn: psycopg.Connection) -> dict[str, Any]:
        futures = console.require_warehouse().inner_schema("futures")
        days = main_contracts.read_main_contracts(conn, futures, variety).to_pylist()
        rolls = [row for row in days if row["is_switch"] and row["prev_contract"]]
        span = (days[0]["trading_day"], days[-1]["trading_day"])
        return {
            "rolls": [{"day": str(r["trading_day"]), "text": _describe_roll(r)} for r in rolls],
            "span": main_contracts.find_span(conn, futures, variety) if freq != "1d" else span,
        }

    def draw() -> dict[str, Any]:
        about: dict[str, Any] = console.read(read)
        if about["span"] is None:
            load = {"source": SOURCE, "codes": variety}
            command = f"quotemill load {SOURCE} --codes {variety}"
            text = mark("minute bars are not loaded")
            return {"title": variety, "absent": Absence(text, command=command, load=load)}
        drawn = draw_bars(
            f"/api/main-contracts/{variety}?{urlencode({'freq': freq, 'adjust': adjust})}",
            partial(gather_days, console, variety, freq, adjust),
            freq,
            about["span"],
            end,
            volume="volume_lots",
        )
        return about | drawn | {"title": variety}

    return add_or_explain(values, draw)


def gather_names(console: Console) -> dict[str, Any]:
    """The varieties to choose from."""
    warehouse = console.find_warehouse()
    futures = warehouse and warehouse.inner_schema("futures")
    names = futures and console.read(lambda conn: main_contracts.list_varieties(conn, futures))
    if names:
        return {"names": names}
    return explain_nothing(console, SOURCE, ("/futures", mark("Load missing data")))


def _describe_roll(row: dict[str, Any]) -> str:
    return f"{row['trading_day']}: {row['prev_contract']} → {row['underlying_contract']}"


def gather_days(
    console: Console,
    variety: str,
    freq: Frequency,
    adjust: Adjustment,
    start: date,
    end: date,
) -> dict[str, Any]:
    """The bars of some days, as the table of a page has them."""

    def read(conn: psycopg.Connection) -> pa.Table:
        futures = console.require_warehouse().inner_schema("futures")
        return main_contracts.read_main_contracts(
            conn, futures, variety, start, end, freq=freq, adjust=adjust
        )

    return cut_rows(console.read(read), "trading_day" if freq == "1d" else "start_at")
