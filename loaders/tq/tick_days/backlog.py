"""What the tick store lacks of the schedule, and what of it the schedule has outgrown. Pure but for the
readers at the end.

    wanted    days of the schedule that have settled
    missing   wanted − complete − days without data (no doubtful ones) that are not due again; complete
              days that are outdated: their day bar was corrected since
    restamps  complete days whose segment is another one now: no fetch
    outgrown  complete days whose contract is not the schedule's any more, once the new one's ticks are
              there, or there are none, or the day has no contract
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from loaders.ticks.frame import DayKey
from loaders.ticks.store import IndexRow, NoDataRow, Stamp

# of futures.main_schedule, in the order of Scheduled
COLUMNS = (
    *("variety", "symbol", "trading_day", "underlying_contract", "segment_id"),
    *("prev_contract", "is_switch", "schedule_hash", "source"),
)


class Scheduled(NamedTuple):
    """A day of futures.main_schedule."""

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
    return f"{key.symbol} {key.contract} {key.trading_day}"


def parsed_key(text: str) -> DayKey:
    """The key that `key_text` wrote. Raises ValueError."""
    symbol, contract, day = text.split(" ")
    return DayKey(symbol, contract, date.fromisoformat(day))


@dataclass(frozen=True)
class Backlog:
    """`missing` by contract and day; those of them whose day holds another contract's ticks are
    `revised`, and come first."""

    revised: list[Scheduled]
    missing: list[Scheduled]
    restamps: dict[tuple[str, str], list[Stamp]]
    outgrown: list[IndexRow]


def backlog(
    schedule: Sequence[Scheduled],
    index: Sequence[IndexRow],
    no_data: Sequence[NoDataRow],
    settled: Mapping[str, date | None],
    as_of: datetime,
    recheck_after: timedelta,
    outdated: Collection[DayKey] = (),
) -> Backlog:
    """`settled`: the newest trading day of each variety that is over. A day without data is due again
    once its last check is `recheck_after` old."""
    complete = {key_of(row): row for row in index if row.status == "complete"}
    empty = {key_of(row): row for row in no_data if row.status == "no_data"}
    held: dict[tuple[str, date], list[IndexRow]] = defaultdict(list)
    for row in complete.values():
        held[row.symbol, row.trading_day].append(row)
    found = Backlog([], [], {}, [])
    for day in sorted(schedule, key=lambda d: (d.symbol, d.contract, d.trading_day)):
        over = settled.get(day.variety)
        there = complete.get(day.key)
        if there is not None:
            if (there.segment_id, there.schedule_hash) != (day.segment_id, day.schedule_hash):
                stamp = Stamp(day.trading_day, day.segment_id, day.schedule_hash)
                found.restamps.setdefault((day.symbol, day.contract), []).append(stamp)
            if day.key not in outdated:
                continue
        known = empty.get(day.key)
        if over is None or day.trading_day > over:
            continue
        if known is not None and as_of - known.checked_at < recheck_after:
            continue
        another = there is None and held[day.symbol, day.trading_day]
        (found.revised if another else found.missing).append(day)
    found.outgrown.extend(_outgrown(schedule, complete, empty))
    return found


def _outgrown(
    schedule: Sequence[Scheduled],
    complete: Mapping[DayKey, IndexRow],
    empty: Mapping[DayKey, NoDataRow],
) -> list[IndexRow]:
    by_day = {(day.symbol, day.trading_day): day for day in schedule}
    reach: dict[str, tuple[date, date]] = {}
    for day in schedule:
        first, last = reach.get(day.symbol, (day.trading_day, day.trading_day))
        reach[day.symbol] = min(first, day.trading_day), max(last, day.trading_day)
    found = []
    for row in complete.values():
        first, last = reach.get(row.symbol, (date.max, date.min))
        if not first <= row.trading_day <= last:
            continue  # the schedule says nothing of it
        now = by_day.get((row.symbol, row.trading_day))
        gone = now is None or now.key in complete or now.key in empty
        if gone and (now is None or now.contract != row.contract):
            found.append(row)
    return found


def key_of(row: IndexRow | NoDataRow) -> DayKey:
    return DayKey(row.symbol, row.contract, row.trading_day)


def read_schedule(conn: psycopg.Connection, schema: str) -> list[Scheduled]:
    """What dbt built; nothing where it has not been built yet."""
    return _scheduled(conn, schema, "true", {})


def lacking_days(
    conn: psycopg.Connection, schema: str, varieties: Sequence[str], outdated: Collection[DayKey]
) -> list[Scheduled]:
    """The days of the schedule that are not complete by the copy of the index, and the outdated ones."""
    where = """
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
    keys = {
        name: [getattr(key, name[:-1]) for key in outdated] for name in ("symbols", "contracts")
    }
    days = [key.trading_day for key in outdated]
    return _scheduled(conn, schema, where, {"varieties": list(varieties), **keys, "days": days})


def last_days(conn: psycopg.Connection, schema: str, varieties: Sequence[str]) -> dict[str, date]:
    """The last day of the schedule of each variety that has one."""
    if not _is_built(conn, schema):
        return {}
    query = sql.SQL(
        "select v, newest.trading_day from unnest(%s::text[]) as v cross join lateral ("
        "select trading_day from {} where variety = v order by trading_day desc limit 1) as newest"
    )
    rows = conn.execute(query.format(_schedule(schema)), (list(varieties),))
    return dict(rows.fetchall())


def _scheduled(
    conn: psycopg.Connection, schema: str, where: LiteralString, values: Mapping[str, Any]
) -> list[Scheduled]:
    if not _is_built(conn, schema):
        return []
    columns = sql.SQL(", ").join(sql.Identifier("s", name) for name in COLUMNS)
    query = sql.SQL("select {} from {} as s where {} order by s.symbol, s.trading_day")
    rows = conn.execute(query.format(columns, _schedule(schema), sql.SQL(where)), values)
    return [Scheduled(*row) for row in rows]


def _is_built(conn: psycopg.Connection, schema: str) -> bool:
    found = conn.execute("select to_regclass(%s)", (f"{schema}.main_schedule",)).fetchone()
    return found != (None,)


def _schedule(schema: str) -> sql.Identifier:
    return sql.Identifier(schema, "main_schedule")


def settled_days(conn: psycopg.Connection) -> dict[str, date | None]:
    """The newest day of each variety that the source showed to be over: it has a final day bar."""
    rows = conn.execute(
        "select c.variety, max(newest.trade_date) from raw_tq.contract as c cross join lateral ("
        "select d.trade_date from raw_tq.contract_daily as d "
        "where d.contract = c.contract and d.is_final order by d.trade_date desc limit 1) as newest "
        "group by 1"
    )
    return dict(rows.fetchall())
