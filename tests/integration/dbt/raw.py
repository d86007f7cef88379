"""Rows of landed tables as loaders write them: upserted by key, TDX in li and hands."""

import csv
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache

import psycopg

from loaders.landing import change_feed as changes
from loaders.sources import landed_tables
from loaders.trading_time import SHANGHAI
from quotemill.instrument_ranges import price_decimals


def land(conn: psycopg.Connection, table: str, rows: Iterable[dict[str, object]]) -> None:
    """Upsert rows that differ through a temporary table and record the changes.

    A table without a schema is one of TDX.
    """
    table = table if "." in table else f"raw_tdx.{table}"
    declared = changes.find_table(landed_tables(), table)
    standard = {"source_route": "test", "fetched_at": "2024-01-31 20:00+00", "is_final": True}
    rows = [standard | row for row in rows]
    if not rows:
        return
    if declared.numbered:
        routes: dict[object, int] = dict(
            conn.execute(
                "insert into ops.routes (route) select distinct unnest(%s::text[]) on conflict "
                "(route) do update set route = excluded.route returning route, route_no",
                ([row["source_route"] for row in rows],),
            ).fetchall()
        )
        for row in rows:
            row |= {"route_no": routes[row.pop("source_route")], "file_no": 0}
    columns = list(rows[0])
    names = ", ".join(columns)
    key = declared.entity or "''"
    rest = [c for c in columns if c not in declared.key]
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(f"create temp table batch (like {declared.qualified}) on commit drop")
        with cursor.copy(f"copy batch ({names}) from stdin") as copy:
            for row in rows:
                copy.write_row([row[c] for c in columns])
        cursor.execute(
            f"with landed as (insert into {declared.qualified} as d ({names}) select {names} from "
            f"batch "
            f"on conflict ({', '.join(declared.key)}) do update set "
            + ", ".join(f"{c} = excluded.{c}" for c in rest)
            + f" where ({', '.join(f'd.{c}' for c in rest)}) is distinct from "
            f"({', '.join(f'excluded.{c}' for c in rest)}) returning d.*) "
            + changes.insert_changes_sql(declared.qualified, "landed", key=key, day=declared.day)
        )
        cursor.execute("drop table batch")


def touch(conn: psycopg.Connection, table: str, *codes: str) -> None:
    """Record rows that a test wrote or deleted by hand in the change feed."""
    table = table if "." in table else f"raw_tdx.{table}"
    changes.touch(conn, changes.find_table(landed_tables(), table), codes)


def add_line(conn: psycopg.Connection, seed: str, content: str) -> None:
    """Add a line to the table of a seed that users edit."""
    cells = [cell or None for cell in next(csv.reader([content]))]
    places = ", ".join(["%s"] * len(cells))
    added = f"insert into quotemill_intermediate.{seed} values ({places})"
    conn.execute(added.encode(), cells)


def security(code: str, instrument_type: str = "stock") -> dict[str, object]:
    return {
        "code": code,
        "exchange": code[:2],
        "name": code.upper(),
        "instrument_type": instrument_type,
        "price_decimals": price_decimals(code, instrument_type),
        "is_listed": True,
    }


def trading_day(day: date, source: str = "service") -> dict[str, object]:
    return {"trade_date": day, "source": source}


def bar(code: str, day: date, close: str, **changes: object) -> dict[str, object]:
    """A bar whose four prices are `close` yuan, with volume and turnover that agree."""
    li = int(Decimal(close) * 1000)
    row: dict[str, object] = {
        "code": code,
        "trade_date": day,
        **dict.fromkeys(("open", "high", "low", "close"), li),
        "volume": 1000,
        "amount": li * 100_000,
    }
    return row | changes


def minute(code: str, bar_end: datetime, price: str, **changes: object) -> dict[str, object]:
    """A minute whose four prices are `price` yuan, with volume and turnover that agree."""
    li = int(Decimal(price) * 1000)
    row: dict[str, object] = {
        "code": code,
        "bar_end": bar_end,
        "trade_date": bar_end.astimezone(SHANGHAI).date(),
        "source_label": f"{bar_end.astimezone(SHANGHAI):%H:%M}",
        **dict.fromkeys(("open", "high", "low", "close"), li),
        "volume": 10,
        "amount": li * 1000,
    }
    return row | changes


@cache
def session_minutes(day: date) -> list[datetime]:
    """The 240 ends of the minutes of a day: 09:31 to 11:30 and 13:01 to 15:00."""
    opens = (datetime.combine(day, time(hour, half), SHANGHAI) for hour, half in ((9, 30), (13, 0)))
    return [opened + timedelta(minutes=n) for opened in opens for n in range(1, 121)]


def action(code: str, ex_date: date, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "code": code,
        "ex_date": ex_date,
        "source": "csv",
        "seq": 1,
        "category": 1,
        "cash_per10_yuan": 0,
        "bonus_total_per10": 0,
        "rights_per10": 0,
        "rights_price_yuan": 0,
        "split_ratio": None,
        "adjusts_price": None,
        "is_withdrawn": False,
        "source_ref": "corporate_actions.csv:2",
    }
    return row | changes


def weekdays(first: date, count: int) -> list[date]:
    days = (first + timedelta(days=n) for n in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]
