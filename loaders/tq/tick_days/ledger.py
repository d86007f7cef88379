"""The landed copies of the store's records, for dbt: raw_tq.symbol_day and raw_tq.no_data_day.

A copy that differs from the store's own row lands again (`find_lagging`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import psycopg

from loaders.landing.target import CLOCK_AHEAD
from loaders.ticks.store import IndexRow, NoDataRow, StoredDay
from loaders.tq.tables import NO_DATA_DAY
from loaders.tq.tick_days.rules import TOLERANCE
from loaders.tq.tick_days.schedule import Scheduled
from loaders.warehouse.tables import STANDARD_FIELDS
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError

# tables whose rows say what the store holds, or what was made of it
FOLLOWERS = ("symbol_day", "no_data_day", "tick_revision", "tick_minute_day")
FEW = 20  # days that a store may lack before it is taken for the wrong one
BY_NOW = f"where not {CLOCK_AHEAD}"
# days whose ticks another day bar judges: complete ones that hold other lots, and short ones
REJUDGED = """
    select s.symbol, s.contract, s.trading_day, d.volume
    from raw_tq.symbol_day as s
    inner join raw_tq.contract_daily as d
        on s.contract = d.contract and s.trading_day = d.trade_date
    where
        s.symbol = any(%(symbols)s)
        and d.is_final
        and (
            (s.status = 'complete' and abs(s.volume - d.volume) > d.volume * %(tolerance)s)
            or (s.status = 'short' and d.volume is distinct from s.day_volume)
        )
"""


@dataclass(frozen=True)
class LedgerRow(StoredDay):
    """The copy of an index row; `source_route`: how the ticks came."""

    source_route: str

    @classmethod
    def from_store(cls, row: IndexRow, route: str) -> "LedgerRow":
        return cls(**{name: getattr(row, name) for name in STORED_FIELDS}, source_route=route)

    def as_record(self, at: datetime) -> dict[str, Any]:
        """The record to land."""
        return vars(self) | {"fetched_at": at, "is_final": True}


STORED_FIELDS = tuple(field.name for field in fields(StoredDay))
LEDGER_FIELDS = (*STORED_FIELDS, "source_route")
NO_DATA_FIELDS = tuple(
    name for name in NO_DATA_DAY.schema.names if name not in {f.name for f in STANDARD_FIELDS}
)


def read_ledger(
    conn: psycopg.Connection, symbols: Collection[str] | None = None
) -> dict[DayKey, LedgerRow]:
    """The rows of some series, or of all."""
    return _to_ledger(_read_symbols(conn, "raw_tq.symbol_day", LEDGER_FIELDS, symbols))


def read_no_data(
    conn: psycopg.Connection, symbols: Collection[str] | None = None
) -> dict[DayKey, dict[str, Any]]:
    """The landed days without data, or with too little, for which no ticks came since."""
    rows = (
        dict(zip(NO_DATA_FIELDS, row, strict=True))
        for row in _read_symbols(conn, "raw_tq.no_data_day", NO_DATA_FIELDS, symbols)
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
    rows = conn.execute(REJUDGED, {"symbols": list(symbols), "tolerance": TOLERANCE})
    return {DayKey(*key): traded for *key, traded in rows.fetchall()}


def read_short_days(conn: psycopg.Connection) -> dict[DayKey, LedgerRow]:
    """The stored days that are short."""
    return _to_ledger(_read_rows(conn, "raw_tq.symbol_day", LEDGER_FIELDS, "status = 'short'"))


def find_lagging(
    ledger: Mapping[DayKey, LedgerRow], stored: Mapping[DayKey, IndexRow]
) -> list[DayKey]:
    """The days whose copies are not as the store's rows are."""
    keys = ledger.keys() | stored.keys()
    return sorted(k for k in keys if ledger.get(k) != make_copy(ledger.get(k), stored.get(k)))


def make_copy(old: LedgerRow | None, row: IndexRow | None) -> LedgerRow:
    """The copy of an index row in place of an old one; one of them is there.

    A day that the store lacks is superseded. How ticks came the store does not say: a copy of the
    same ticks does.
    """
    if row is None:
        assert old is not None
        return old.superseded()
    is_same = old is not None and old.row_hash == row.row_hash
    return LedgerRow.from_store(row, old.source_route if old and is_same else "index")


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
            f"the tick store ({store}) is missing {lost:,} of {len(held):,} stored days, "
            "so it may be the wrong one",
            hint="Check QUOTEMILL_QUESTDB_URL, which sets the store. If the ticks are "
            "lost, run `loaders run tq --dataset tick_index` to record that, and the "
            "next load fetches them again.",
        )


def copy_no_data(row: NoDataRow) -> dict[str, Any]:
    """The copy of a day without ticks."""
    return {name: getattr(row, name) for name in NO_DATA_FIELDS}


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


def _to_ledger(rows: Iterable[tuple[Any, ...]]) -> dict[DayKey, LedgerRow]:
    made = (LedgerRow(**dict(zip(LEDGER_FIELDS, row, strict=True))) for row in rows)
    return {row.key: row for row in made}


def _read_symbols(
    conn: psycopg.Connection, table: str, names: tuple[str, ...], symbols: Collection[str] | None
) -> list[tuple[Any, ...]]:
    if symbols is None:
        return _read_rows(conn, table, names, "true")
    return _read_rows(conn, table, names, "symbol = any(%s)", list(symbols))


def _read_rows(
    conn: psycopg.Connection, table: str, names: tuple[str, ...], where: str, *values: Any
) -> list[tuple[Any, ...]]:
    query = f"select {', '.join(names)} from {table} where {where}"
    return conn.execute(query.encode(), values or None).fetchall()
