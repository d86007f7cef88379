"""The ledger of stored days: raw_tq.symbol_day, which says what is complete.

The store has index rows of its own, for its readers and as evidence: `follow_store` compares them
with the ledger. `raw_tq.no_data_day` is a copy of the store's record of days without ticks.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import psycopg

from loaders.landing.target import CLOCK_AHEAD
from loaders.ticks.store import IndexRow, NoDataRow, StoredDay
from loaders.tq.tables import NO_DATA_DAY
from loaders.tq.tick_days.completeness import TOLERANCE, lacks_lots
from loaders.tq.tick_days.schedule import Scheduled
from loaders.warehouse.tables import STANDARD_FIELDS
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError

# tables whose rows say what the store holds, or what was made of it
FOLLOWERS = ("symbol_day", "no_data_day", "tick_revision", "tick_minute_day")
FEW = 20  # days that a store may lack before it is taken for the wrong one
BY_NOW = f"where not {CLOCK_AHEAD}"
# days whose ticks another day bar judges: complete ones that hold too little, and short ones
REJUDGED = """
    select s.symbol, s.contract, s.trading_day, d.volume
    from raw_tq.symbol_day as s
    inner join raw_tq.contract_daily as d
        on s.contract = d.contract and s.trading_day = d.trade_date
    where
        s.symbol = any(%(symbols)s)
        and d.is_final
        and (
            (s.status = 'complete' and s.volume < d.volume * %(least)s)
            or (s.status = 'short' and d.volume is distinct from s.day_volume)
        )
"""


@dataclass(frozen=True)
class LedgerRow(StoredDay):
    """A row of the ledger; `source_route`: how the ticks came."""

    source_route: str

    def judged_by(self, traded: int) -> "LedgerRow":
        """The row as a day bar of so many lots judges it; a hole stays one."""
        has_hole = self.status == "short" and not lacks_lots(self.volume, self.day_volume)
        is_short = has_hole or lacks_lots(self.volume, traded)
        return replace(self, status="short" if is_short else "complete", day_volume=traded)

    @classmethod
    def from_store(cls, row: IndexRow, route: str) -> "LedgerRow":
        return cls(**{name: getattr(row, name) for name in STORED_FIELDS}, source_route=route)

    @property
    def shared_fields(self) -> dict[str, Any]:
        """What the store's own index row has too."""
        return {name: getattr(self, name) for name in STORED_FIELDS}

    def as_record(self, at: datetime) -> dict[str, Any]:
        """The record to land."""
        return vars(self) | {"fetched_at": at, "is_final": True}


STORED_FIELDS = tuple(field.name for field in fields(StoredDay))
NO_DATA_FIELDS = tuple(
    name for name in NO_DATA_DAY.schema.names if name not in {f.name for f in STANDARD_FIELDS}
)


def read_ledger(
    conn: psycopg.Connection, symbols: Collection[str] | None = None
) -> dict[DayKey, LedgerRow]:
    """The rows of some series, or of all."""
    names = (*STORED_FIELDS, "source_route")
    rows = (
        LedgerRow(**dict(zip(names, row, strict=True)))
        for row in _read(conn, "raw_tq.symbol_day", names, symbols)
    )
    return {row.key: row for row in rows}


def read_no_data(
    conn: psycopg.Connection, symbols: Collection[str] | None = None
) -> dict[DayKey, dict[str, Any]]:
    """The landed days without data, or with too little, for which no ticks came since."""
    rows = (
        dict(zip(NO_DATA_FIELDS, row, strict=True))
        for row in _read(conn, "raw_tq.no_data_day", NO_DATA_FIELDS, symbols)
    )
    return {
        DayKey(row["symbol"], row["contract"], row["trading_day"]): row
        for row in rows
        if row["status"] != "superseded"
    }


def read_newest_time(conn: psycopg.Connection) -> datetime | None:
    """When the newest row about the store was written; none by a clock ahead of the server's."""
    times = (f"(select max(fetched_at) from raw_tq.{table} as t {BY_NOW})" for table in FOLLOWERS)
    [(newest,)] = conn.execute(f"select greatest({', '.join(times)})".encode())
    return newest  # type: ignore[no-any-return]


def read_rejudged(conn: psycopg.Connection, symbols: Collection[str]) -> dict[DayKey, int]:
    """Lots of the day bar of stored days that it judges otherwise, or for the first time."""
    rows = conn.execute(REJUDGED, {"symbols": list(symbols), "least": 1 - TOLERANCE})
    return {DayKey(*key): traded for *key, traded in rows.fetchall()}


def read_short_days(conn: psycopg.Connection) -> set[DayKey]:
    query = "select symbol, contract, trading_day from raw_tq.symbol_day where status = 'short'"
    return {DayKey(*row) for row in conn.execute(query)}


def follow_store(
    ledger: Mapping[DayKey, LedgerRow], stored: Mapping[DayKey, IndexRow]
) -> dict[DayKey, LedgerRow]:
    """The ledger as the store's own rows have it; a day that these lack is superseded."""
    lost = {key: row for key, row in ledger.items() if key not in stored}
    return {key: row.superseded() for key, row in lost.items()} | {
        key: LedgerRow.from_store(row, _route(ledger.get(key), row)) for key, row in stored.items()
    }


def require_same_store(
    store: str, ledger: Mapping[DayKey, LedgerRow], stored: Collection[DayKey]
) -> None:
    """Raise StoreError where a store lacks most stored days: all would be fetched again.

    `store`: its label. `stored`: the days of its index.
    """
    held = {key for key, row in ledger.items() if row.is_visible}
    lost = len(held - set(stored))
    if lost > FEW and lost * 2 > len(held):
        raise StoreError(
            f"the tick store ({store}) lacks {lost:,} of {len(held):,} days that were stored: "
            "is it the right one?",
            hint="QUOTEMILL_QUESTDB_URL names the store; `quotemill questdb copy` brings the ticks "
            "of the former one; if they are lost, `loaders run tq --dataset tick_index` records "
            "that, keeps the days of the tick archive, and the next load fetches the others",
        )


def changed_rows(
    ledger: Mapping[DayKey, LedgerRow], wanted: Mapping[DayKey, LedgerRow]
) -> dict[DayKey, LedgerRow]:
    """The wanted rows that the ledger has otherwise, by key."""
    return {key: row for key, row in sorted(wanted.items()) if ledger.get(key) != row}


def no_data_record(row: NoDataRow, at: datetime) -> dict[str, Any]:
    """The record to land for a day without ticks."""
    values = {name: getattr(row, name) for name in NO_DATA_FIELDS}
    return values | {"source_route": "ticks", "fetched_at": at, "is_final": True}


def revision_record(
    old: LedgerRow, new: Scheduled | None, new_hash: str | None, at: datetime
) -> dict[str, Any]:
    """The record to land for ticks that others replaced."""
    return {
        "symbol": old.symbol,
        "trading_day": old.trading_day,
        "old_contract": old.contract,
        "new_contract": new.contract if new else None,
        "old_hash": old.row_hash,
        "new_hash": new_hash,
        "revised_at": at,
        "source_route": "index",
        "fetched_at": at,
        "is_final": True,
    }


def _route(old: LedgerRow | None, row: IndexRow) -> str:
    """How the ticks came: the store does not say, a ledger row of the same ticks does."""
    return old.source_route if old is not None and old.row_hash == row.row_hash else "index"


def _read(
    conn: psycopg.Connection, table: str, names: tuple[str, ...], symbols: Collection[str] | None
) -> list[tuple[Any, ...]]:
    where = "" if symbols is None else " where symbol = any(%s)"
    return conn.execute(
        f"select {', '.join(names)} from {table}{where}".encode(),
        None if symbols is None else (list(symbols),),
    ).fetchall()
