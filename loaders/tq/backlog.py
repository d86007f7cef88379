"""What the tick store lacks of the schedule, and what of it the schedule has outgrown. Pure but for the
two readers at the end.

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
from typing import NamedTuple

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
    name = f"{schema}.main_schedule"
    if conn.execute("select to_regclass(%s)", (name,)).fetchone() == (None,):
        return []
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    rows = conn.execute(
        sql.SQL("select {} from {} order by symbol, trading_day").format(
            columns, sql.Identifier(schema, "main_schedule")
        )
    )
    return [Scheduled(*row) for row in rows]


def settled_days(conn: psycopg.Connection) -> dict[str, date | None]:
    """The newest day of each variety that the source showed to be over: it has a final day bar."""
    rows = conn.execute(
        "select c.variety, max(d.trade_date) from raw_tq.contract_daily as d "
        "inner join raw_tq.contract as c on d.contract = c.contract where d.is_final group by 1"
    )
    return dict(rows.fetchall())
