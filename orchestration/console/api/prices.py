"""Prices: bars of a security, main contracts of futures, option chains; as JSON, CSV or Arrow."""

import io
import math
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import psycopg
import pyarrow as pa
import pyarrow.csv
from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime

from orchestration.console.context import Console
from orchestration.console.errors import NotThere
from quotemill.readers import klines, main_contracts, option_chains
from quotemill.readers.klines import Adjustment, Frequency
from quotemill.readers.listed import NotListed

Format = Annotated[Literal["json", "csv", "arrow"], Query(description="format of the response")]
Day = Annotated[date | None, Query()]
Time = Annotated[
    AwareDatetime | None, Query(description="time with its zone, such as 2026-11-24T10:00:00Z")
]
Code = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9._]{1,20}$", description="code, such as sh600000 or 600000.SH")
]
Variety = Annotated[
    str, Path(pattern=r"^[A-Za-z]{1,8}\.[A-Za-z]{1,8}$", description="product, such as SHFE.cu")
]
Symbol = Annotated[
    str, Path(pattern=r"^[A-Z0-9][A-Z0-9 ._-]{0,19}$", description="symbol, such as AAPL")
]
Slot = Annotated[
    str | None, Query(pattern=r"^\d\d:\d\d$", description="slot, as HH:MM in New York")
]
KINDS = {
    "application/json": {"schema": {"type": "object"}},
    "text/csv": {},
    "application/vnd.apache.arrow.stream": {},
}
ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": KINDS}}


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["prices"], default_response_class=Response)

    @router.get("/klines/{code}", responses=ANSWERS)
    def read_klines(
        code: Code,
        freq: Frequency = "1d",
        adjust: Adjustment = "none",
        start: Day = None,
        end: Day = None,
        as_of: Day = None,
        known_at: Time = None,
        format: Format = "json",
    ) -> Response:
        """Bars of a security or an index, oldest first, as in market.kline_daily and the like.

        With as_of, bars up to that day, adjusted by events with an ex-date up to that day.
        With known_at, unadjusted day bars of shares as they were loaded by that time.
        """

        def read(conn: psycopg.Connection) -> tuple[dict[str, Any], pa.Table]:
            market = console.require_warehouse().market_schema
            security = klines.find_security(conn, market, code)
            table = klines.read_klines(
                conn,
                market,
                security,
                freq=freq,
                adjust=adjust,
                start=start,
                end=end,
                as_of=as_of,
                known_at=known_at,
            )
            about = {"code": security.code, "name": security.name, "freq": freq, "adjust": adjust}
            if as_of is not None:
                about["as_of"] = str(as_of)
            if known_at is not None:
                about["known_at"] = known_at.isoformat()
            return about, table

        return answer(*_read(console, read), format)

    @router.get("/main-contracts/{variety}", responses=ANSWERS)
    def read_main_contracts(
        variety: Variety,
        freq: main_contracts.Frequency = "1d",
        adjust: main_contracts.Adjustment = "none",
        start: Day = None,
        end: Day = None,
        format: Format = "json",
    ) -> Response:
        """The main contract of each day with its bar and rolls, as in table futures.main_schedule.

        Minute bars come from futures.main_1m and similar tables.
        """

        def read(conn: psycopg.Connection) -> tuple[dict[str, Any], pa.Table]:
            futures = console.require_warehouse().inner_schema("futures")
            table = main_contracts.read_main_contracts(
                conn, futures, variety, start, end, freq=freq, adjust=adjust
            )
            return {"variety": variety}, table

        return answer(*_read(console, read), format)

    @router.get("/option-chain/{symbol}/{day}", responses=ANSWERS)
    def read_option_chain(
        symbol: Symbol, day: date, slot: Slot = None, format: Format = "json"
    ) -> Response:
        """The chain at a day's close or at a slot, as in table options.chain_daily_clean."""

        def read(conn: psycopg.Connection) -> tuple[dict[str, Any], pa.Table]:
            options = console.require_warehouse().inner_schema("options")
            table = option_chains.read_option_chain(conn, options, symbol, day, slot)
            slots = option_chains.list_slots(conn, options, symbol, day)
            return {"symbol": symbol, "date": str(day), "slot": slot, "slots": slots}, table

        return answer(*_read(console, read), format)

    return router


def answer(about: dict[str, Any], table: pa.Table, form: str) -> Response:
    """A table as JSON (`rows` beside what it is of), CSV, or an Arrow stream."""
    if form == "json":
        rows = [{n: _plain(v) for n, v in row.items()} for row in table.to_pylist()]
        return JSONResponse({**about, "rows": rows})
    name = "-".join(str(value) for value in list(about.values())[:1]).replace(" ", "_")
    sink = io.BytesIO()
    if form == "csv":
        pyarrow.csv.write_csv(_flatten(table), sink)
        kind, ending = "text/csv", "csv"
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        kind, ending = "application/vnd.apache.arrow.stream", "arrow"
    named = {"content-disposition": f'attachment; filename="{name}.{ending}"'}
    return Response(sink.getvalue(), media_type=kind, headers=named)


def _read(console: Console, read: Any) -> tuple[dict[str, Any], pa.Table]:
    try:
        result: tuple[dict[str, Any], pa.Table] = console.read(read)
    except NotListed as error:
        raise NotThere(str(error), hint=error.hint) from None
    return result


def _plain(value: Any) -> Any:
    """A value as JSON has it: decimals of at most 15 digits stay exact as numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no word for it
        return None
    return value.isoformat() if isinstance(value, date | datetime) else value


def _flatten(table: pa.Table) -> pa.Table:
    """Lists as texts, which CSV can hold."""
    for at, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            texts = [
                None if value is None else " ".join(value)
                for value in table[field.name].to_pylist()
            ]
            table = table.set_column(at, field.name, pa.array(texts, pa.string()))
    return table
