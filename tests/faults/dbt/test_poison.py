"""Whatever a landed table takes, the SQL models can cast: the extremes of every column, built."""

from collections.abc import Callable, Sequence
from datetime import date
from itertools import product
from typing import Any

import psycopg
import pytest

from loaders.ib.tables import TABLES as OPTIONS
from loaders.landing.screening import screen
from loaders.tdx.tables import TABLES as STOCKS
from loaders.tdx.tables import TRADING_DAY
from loaders.tq.tables import TABLES as FUTURES
from loaders.warehouse.tables import LandedTable
from tests.dbt_parse import Dbt
from tests.faults.dbt.extremes import Mixed, Row, cases, plain
from tests.integration.dbt.conftest import MODELS, REBUILD
from tests.integration.dbt.raw import land, security, trading_day, weekdays
from tests.integration.dbt.raw_options import (
    Session,
)

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
DAYS = weekdays(date(2024, 1, 1), 30)
DAY = DAYS[20]
MIXED = 200  # rows, or keys, with extremes in many columns at once
WORDS: Row = {
    "exchange": "sh",
    "instrument_type": "stock",
    "period": "week",
    "part": "quote",
    "source_label": "15:00",
    "source": "csv",
    "category": 1,
    "seq": 1,
    "ordinal": 1,
    "side": 0,
    "adjusts_price": True,
    "is_withdrawn": False,
    "split_ratio": None,
    "volume": 100,
    "amount": 10**8,
    "dataset": "kline_daily",
} | dict.fromkeys(("open", "high", "low", "close", "previous_close", "price"), 10_000)


def landed_rows(
    conn: psycopg.Connection, landed: LandedTable, rows: Sequence[Row], odd: Sequence[Row]
) -> tuple[list[Row], int]:
    """What the table takes of the rows, and of odd ones, landed; and how many it refuses."""
    # apart: a column with a value that cannot be cast is cast one by one
    screened = [screen(part, landed) for part in (rows, odd) if part]
    good = {
        tuple(row[name] for name in landed.key): row
        for part in screened
        for row in part.rows.to_pylist()
    }
    land(conn, landed.qualified.removeprefix("raw_tdx."), good.values())
    return list(good.values()), sum(len(part.rejected_rows) for part in screened)


def read_all(conn: psycopg.Connection, *schemas: str) -> None:
    """Read every view of the schemas: it computes when it is read."""
    views = conn.execute(
        "select schemaname, viewname from pg_views where schemaname = any(%s) order by 1, 2",
        ([*schemas, "qa"],),
    ).fetchall()
    assert len(views) > 10
    for schema, view in views:
        conn.execute(f"create temp table read as select * from {schema}.{view}".encode())
        conn.execute(b"drop table read")


def stock_rows(landed: LandedTable) -> tuple[list[Row], list[Row]]:
    """A plain fortnight of one code per extreme of each column, codes with many extremes, and
    the odd day in the middle of the fortnight."""
    rows: list[Row] = []
    odd: list[Row] = []
    # a day stands once in the calendar; these are before all others
    days = DAYS if landed is not TRADING_DAY else weekdays(date(2000, 1, 3), 1000)
    for number, (name, value) in enumerate(cases(landed)):
        code = f"sh6{number:05}"
        middle = days[number] if landed is TRADING_DAY else DAY
        rows += [plain(landed, WORDS | {"code": code}, code, day) for day in DAYS[15:25]]
        odd.append(plain(landed, WORDS | {"code": code}, code, middle) | {name: value})
        if name == "high":
            odd[-1]["close"] = value
        if name == "split_ratio":
            odd[-1]["category"] = 11
    mixed = Mixed(landed, plain(landed, WORDS, "sh600000", DAY))
    for number in range(MIXED):
        code = f"sz0{number:05}"
        day = DAYS[15 + number % 10]
        rows.append(mixed.of(plain(landed, WORDS | {"code": code}, code, day), ("code",)))
    return rows, odd


def test_the_extremes_of_every_column_can_be_built(conn: psycopg.Connection, dbt: Dbt) -> None:
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    codes: set[str] = set()
    refused = 0
    for landed in STOCKS:
        good, bad = landed_rows(conn, landed, *stock_rows(landed))
        codes |= {row["code"] for row in good if "code" in row}
        refused += bad
    assert refused > 100
    named = {code for (code,) in conn.execute("select code from raw_tdx.security").fetchall()}
    land(conn, "security", [security(code) for code in sorted(codes - named)])

    conn.execute("analyze")
    built = dbt(*REBUILD)

    assert built.success, built.error
    read_all(conn, "market")


FUTURES_WORDS: Row = WORDS | {
    "route": "backtest",
    "session": "day",
    "status": "complete",
    "delivery_year": 2024,
}


def rename_variety(rows: Sequence[Row], number: int) -> list[Row]:
    """The plain rows, of another variety."""
    variety = f"X.v{number}"
    names = {"variety": variety, "symbol": f"KQ.m@{variety}", "contract": f"{variety}2401"}
    names = {name: word for name, word in names.items() if name in rows[0]}
    return [row | names for row in rows]


def spread(
    landed: LandedTable,
    extremes: Sequence[tuple[LandedTable, str, Any]],
    template: Sequence[Row],
    *,
    rename: Callable[[Sequence[Row], int], list[Row]],
    fixed: tuple[tuple[str, ...], tuple[str, ...]],
) -> tuple[list[Row], list[Row]]:
    """Copies of the template: plain ones and some with many extremes; those with one extreme."""
    mixed = Mixed(landed, template[0])
    rows: list[Row] = []
    odd: list[Row] = []
    for number in range(len(extremes) + MIXED):
        own = rename(template, number)
        if number >= len(extremes):
            own = [mixed.of(row, fixed[number % 2]) for row in own]
        elif extremes[number][0] is landed:
            _, name, value = extremes[number]
            odd += [row | {name: value} for row in own]
            continue
        rows += own
    return rows, odd


def test_the_extremes_of_every_column_of_futures_can_be_built(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    extremes = [(landed, name, value) for landed in FUTURES for name, value in cases(landed)]
    for landed in FUTURES:
        template = [plain(landed, FUTURES_WORDS, "X", day) for day in DAYS[18:22]]
        names = ("variety", "symbol", "contract")
        rows, odd = spread(landed, extremes, template, rename=rename_variety, fixed=(names, names))
        if landed.name == "trading_day":
            rows = [*rows, *(plain(landed, WORDS, "", day) for day in DAYS[15:25])]
        landed_rows(conn, landed, rows, odd)
    assert len(extremes) > 300

    conn.execute("analyze")
    built = dbt(*REBUILD)

    assert built.success, built.error
    assert conn.execute("select count(*) > 50 from futures.tick_coverage").fetchone() == (True,)
    read_all(conn, "futures")


# of a split that is known
BEFORE, AFTER = Session(date(2024, 1, 29)), Session(date(2024, 1, 30))
OPTION_PRICES = dict.fromkeys(("bid", "last", "und_price", "und_bid", "und_last", "ref_price"), 100)
OPTION_WORDS: Row = (
    WORDS
    | OPTION_PRICES
    | {
        "ask": 101,
        "und_ask": 101,
        "multiplier": 100,
        "underlying_conid": 1,
        "status": "complete",
        "data_quality_flag": "",
        "policy": "session_freeze",
        "ingest_run_type": "intraday",
        "snapshot_error": False,
        "pass": "confirm",
        "source": "SANDBOX",
        "market_data_type": 1,
        "expiry": date(2024, 3, 15),
    }
)


def option_rows(landed: LandedTable) -> list[Row]:
    """Six contracts of a symbol in two sessions: the first two slots and each close."""
    rows: dict[tuple[Any, ...], Row] = {}
    for session, slot in ((BEFORE, 0), (BEFORE, BEFORE.slots - 1), (AFTER, AFTER.slots - 1)):
        for conid, (strike, right) in enumerate(product((90, 100, 110), "CP")):
            words = (
                OPTION_WORDS
                | session.row
                | {
                    "conid": conid,
                    "strike": strike,
                    "option_right": right,
                    "slot_30m": slot,
                    "sample_time": session.at(slot),
                    "captured_at": session.at(slot),
                    "first_seen_date": BEFORE.day,
                    "oi_asof_date": session.day,
                    "seq": slot,
                }
            )
            row = plain(landed, words, "S", session.day)
            rows[tuple(row[name] for name in landed.key)] = row
    return list(rows.values())


def rename_symbol(rows: Sequence[Row], number: int) -> list[Row]:
    """The plain rows, of another symbol."""
    names = dict.fromkeys(("symbol", "trading_class", "ingest_id"), f"S{number}")
    names = {name: word for name, word in names.items() if name in rows[0]}
    if "conid" not in rows[0]:
        return [row | names for row in rows]
    return [row | names | {"conid": 10 * number + row["conid"]} for row in rows]


@pytest.mark.soak
def test_the_extremes_of_every_column_of_options_can_be_built(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    extremes = [(landed, name, value) for landed in OPTIONS for name, value in cases(landed)]
    conn.execute(
        "insert into quotemill_intermediate.us_corporate_actions "
        "select 'S' || n, %s::date, 'split', 20, 1, 'test' from generate_series(0, %s) as g (n)",
        (AFTER.day, len(extremes) + MIXED),
    )
    refused = 0
    for landed in OPTIONS:
        template = option_rows(landed)
        # what joins the tables stays in every second one
        fixed = ((), ("symbol", "conid", "trade_date", "sample_time"))
        rows, odd = spread(landed, extremes, template, rename=rename_symbol, fixed=fixed)
        if landed.name == "session":
            rows += [plain(landed, WORDS | s.row, "", s.day) for s in (BEFORE, AFTER)]
        refused += landed_rows(conn, landed, rows, odd)[1]
    assert refused > 100

    conn.execute("analyze")
    built = dbt(*REBUILD)

    assert built.success, built.error
    count = conn.execute("select count(*) > 500 from options.chain_daily_adjusted").fetchone()
    assert count == (True,)
    read_all(conn, "options")
