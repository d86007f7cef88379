"""The schedule of main contracts that dbt builds, and its settled days."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, LiteralString, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from loaders.ticks.store import SCHEDULE
from quotemill.ticks.columns import DayKey

INCOMPLETE = """
    s.variety = any(%(varieties)s)
    and (
        not exists (
            select 1 from raw_tq.symbol_day as d
            where
                d.symbol = s.symbol and d.contract = s.underlying_contract
                and d.trading_day = s.trading_day and d.status = 'complete'
        )
        or (s.symbol, s.underlying_contract, s.trading_day) in (
            select * from unnest(%(symbols)s::text[], %(contracts)s::text[], %(days)s::date[])
        )
    )
"""
SETTLED = """
    select c.variety, max(newest.trade_date)
    from raw_tq.contract as c
    cross join lateral (
        select d.trade_date
        from raw_tq.contract_daily as d
        where d.contract = c.contract and d.is_final
        order by d.trade_date desc
        limit 1
    ) as newest
    group by 1
"""


class Scheduled(NamedTuple):
    """A day of futures.main_schedule: its columns in the order of SCHEDULE."""

    variety: str
    symbol: str
    trading_day: date
    contract: str
    segment_id: int
    prev_contract: str | None
    is_switch: bool
    schedule_hash: str
    source: str

    @property
    def key(self) -> DayKey:
        return DayKey(self.symbol, self.contract, self.trading_day)


def key_text(key: DayKey) -> str:
    """A key as requests and reports write it: `KQ.m@SHFE.cu SHFE.cu2601 2025-11-25`."""
    return f"{key.symbol} {key.contract} {key.trading_day}"


def parse_key(text: str) -> DayKey:
    """The key that `key_text` wrote. Raises ValueError."""
    symbol, contract, day = text.split(" ")
    return DayKey(symbol, contract, date.fromisoformat(day))


def make_schedule_table(schedule: Collection[Scheduled]) -> pa.Table:
    """SCHEDULE, as a store takes it."""
    columns = zip(SCHEDULE, zip(*schedule, strict=True), strict=True)
    return pa.table([pa.array(values, field.type) for field, values in columns], schema=SCHEDULE)


def read_schedule(conn: psycopg.Connection, schema: str) -> list[Scheduled]:
    """The whole schedule; empty before the first build."""
    return _read_days(conn, schema, where="true", values={})


def read_incomplete_days(
    conn: psycopg.Connection, schema: str, varieties: Sequence[str], others: Collection[DayKey]
) -> list[Scheduled]:
    """The scheduled days that are not complete in the ledger, and others."""
    values = {
        "varieties": list(varieties),
        "symbols": [key.symbol for key in others],
        "contracts": [key.contract for key in others],
        "days": [key.trading_day for key in others],
    }
    return _read_days(conn, schema, where=INCOMPLETE, values=values)


def read_last_days(
    conn: psycopg.Connection, schema: str, varieties: Sequence[str]
) -> dict[str, date]:
    """The last day of the schedule of each variety that has one."""
    if not _is_built(conn, schema):
        return {}
    query = sql.SQL(
        "select v, newest.trading_day from unnest(%s::text[]) as v cross join lateral ("
        "select trading_day from {} where variety = v order by trading_day desc limit 1) as newest"
    )
    rows = conn.execute(query.format(_schedule(schema)), (list(varieties),))
    return dict(rows.fetchall())


def read_settled_days(conn: psycopg.Connection) -> dict[str, date | None]:
    """The newest day of each variety that is over: it has a final day bar."""
    return dict(conn.execute(SETTLED).fetchall())


def _read_days(
    conn: psycopg.Connection, schema: str, *, where: LiteralString, values: Mapping[str, Any]
) -> list[Scheduled]:
    if not _is_built(conn, schema):
        return []
    columns = sql.SQL(", ").join(sql.Identifier("s", name) for name in SCHEDULE.names)
    query = sql.SQL("select {} from {} as s where {} order by s.symbol, s.trading_day")
    rows = conn.execute(query.format(columns, _schedule(schema), sql.SQL(where)), values)
    return [Scheduled(*row) for row in rows]


def _is_built(conn: psycopg.Connection, schema: str) -> bool:
    row = conn.execute("select to_regclass(%s)", (f"{schema}.main_schedule",)).fetchone()
    return row != (None,)


def _schedule(schema: str) -> sql.Identifier:
    return sql.Identifier(schema, "main_schedule")
