"""Whatever a landed table takes, the SQL models can cast: the extremes of every column, built."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from loaders.engine.storable import limits, screen
from loaders.tdx.schemas import SECURITY, TABLES, TRADING_DAY
from loaders.tq.schemas import TABLES as FUTURES
from loaders.trading_time import close_of
from loaders.warehouse.tables import LandedTable
from tests.integration.dbt.conftest import REBUILD, Outcome
from tests.integration.dbt.raw import FETCHED, land, security, trading_day, weekdays

# all is built; a test lands its rows and builds the tables
pytestmark = pytest.mark.usefixtures("models")
DAYS = weekdays(date(2024, 1, 1), 30)
DAY = DAYS[20]
WORDS = {
    "exchange": "sh", "instrument_type": "stock", "period": "week", "part": "quote",
    "source_label": "15:00", "source": "csv", "category": 1, "seq": 1, "ordinal": 1, "side": 0,
    "adjusts_price": True, "is_withdrawn": False, "split_ratio": None, "volume": 100,
    "amount": 10**8, "dataset": "kline_daily",
}  # fmt: skip
PRICES = ("open", "high", "low", "close", "previous_close", "price")


def plain(landed: LandedTable, code: str, day: date) -> dict[str, Any]:
    """A row that is nothing special."""
    row: dict[str, Any] = {}
    for column in landed.schema:
        kind = column.type
        if column.name in WORDS:
            row[column.name] = WORDS[column.name]
        elif column.name == "code":
            row[column.name] = code
        elif column.name in PRICES:
            row[column.name] = 10_000
        elif pa.types.is_date(kind):
            row[column.name] = day
        elif pa.types.is_timestamp(kind):
            row[column.name] = close_of(day)
        elif pa.types.is_boolean(kind):
            row[column.name] = True
        elif pa.types.is_string(kind):
            row[column.name] = code
        else:
            row[column.name] = 1
    return row | {"fetched_at": datetime.fromisoformat(FETCHED + ":00")}


def extremes(landed: LandedTable, column: pa.Field) -> list[Any]:
    """The least and the greatest number that the column takes, and what lies beyond."""
    if pa.types.is_decimal(column.type):
        natural = Decimal(10 ** (column.type.precision - column.type.scale))
    elif pa.types.is_integer(column.type):
        natural = Decimal(2 ** (column.type.bit_width - 1))
    else:
        return []
    least, most = limits(column, landed)
    found: list[Any] = [-natural, natural - 1, Decimal(-(10**17)), Decimal(3 * 10**9)]
    found += [least, most] if most is not None else []
    return found


def rows_of(landed: LandedTable) -> list[dict[str, Any]]:
    """A plain week of one code for each extreme of each column, and the extreme in its middle."""
    rows: list[dict[str, Any]] = []
    cases = [(c, value) for c in landed.schema for value in extremes(landed, c)]
    for number, (column, value) in enumerate(cases):
        code = f"sh6{number:05}"
        rows += [plain(landed, code, day) for day in DAYS[15:25]]
        odd = [row for row in rows[-10:] if DAY in row.values()]
        whole = int(value) if pa.types.is_integer(column.type) else value
        for row in odd:
            row[column.name] = whole
            if column.name == "high":
                row["close"] = whole
            if column.name == "split_ratio":
                row["category"] = 11
    return rows


def test_the_extremes_of_every_column_can_be_built(
    conn: psycopg.Connection, dbt: Callable[..., Outcome]
) -> None:
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    codes: set[str] = set()
    refused = 0
    for landed in TABLES:
        if landed in (SECURITY, TRADING_DAY):
            continue
        found = screen(rows_of(landed), landed)
        refused += len(found.refused)
        keep = {tuple(row[name] for name in landed.key): row for row in found.rows.to_pylist()}
        land(conn, landed.name, keep.values())
        codes |= {row["code"] for row in keep.values() if "code" in row}
    assert refused > 100
    land(conn, "security", [security(code) for code in sorted(codes)])

    built = dbt(*REBUILD)

    assert built.success, built.error
    views = conn.execute(
        "select schemaname, viewname from pg_views where schemaname in ('market', 'qa') order by 1, 2"
    ).fetchall()
    assert len(views) > 10
    for schema, view in views:  # a view computes when it is read
        conn.execute(f"create temp table read as select * from {schema}.{view}".encode())
        conn.execute(b"drop table read")


def plain_of_futures(landed: LandedTable, variety: str, day: date) -> dict[str, Any]:
    words = {
        "variety": variety, "symbol": f"KQ.m@{variety}", "contract": f"{variety}2401",
        "route": "backtest", "session": "day", "status": "complete", "delivery_year": 2024,
    }  # fmt: skip
    return plain(landed, variety, day) | {
        n: w for n, w in words.items() if n in landed.schema.names
    }


def test_the_extremes_of_every_column_of_futures_can_be_built(
    conn: psycopg.Connection, dbt: Callable[..., Outcome]
) -> None:
    cases = [
        (landed, c, v) for landed in FUTURES for c in landed.schema for v in extremes(landed, c)
    ]
    for landed in FUTURES:
        rows = [{"trade_date": day} | {"fetched_at": FETCHED} for day in DAYS[15:25]]
        if landed.name != "trading_day":
            rows = []
            for number, (odd, column, value) in enumerate(cases):
                of_variety = [plain_of_futures(landed, f"X.v{number}", day) for day in DAYS[18:22]]
                if landed is odd:
                    whole = int(value) if pa.types.is_integer(column.type) else value
                    of_variety = [row | {column.name: whole} for row in of_variety]
                rows += of_variety
            rows = screen(rows, landed).rows.to_pylist()
        keep = {tuple(row[name] for name in landed.key): row for row in rows}
        land(conn, landed.qualified, keep.values())
    assert len(cases) > 50

    built = dbt(*REBUILD)

    assert built.success, built.error
    assert conn.execute("select count(*) > 50 from futures.tick_coverage").fetchone() == (True,)
    views = conn.execute(
        "select schemaname, viewname from pg_views where schemaname in ('futures', 'qa') order by 1, 2"
    ).fetchall()
    for schema, view in views:
        conn.execute(f"create temp table read as select * from {schema}.{view}".encode())
        conn.execute(b"drop table read")
