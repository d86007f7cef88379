"""Rows of the tick store's index and of its days without data, as the warehouse has copies of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from loaders.ticks.frame import DayKey
from loaders.ticks.store import IndexRow, NoDataRow
from loaders.tq.tables import NO_DATA_DAY, SYMBOL_DAY
from loaders.tq.tick_days.backlog import Scheduled
from loaders.tq.tick_days.completeness import TOLERANCE
from loaders.warehouse.tables import STANDARD_FIELDS

OF_INDEX, OF_NO_DATA = (
    tuple(name for name in table.schema.names if name not in {f.name for f in STANDARD_FIELDS})
    for table in (SYMBOL_DAY, NO_DATA_DAY)
)
OUTDATED = """
    select s.symbol, s.contract, s.trading_day
    from raw_tq.symbol_day as s
    inner join raw_tq.contract_daily as d
        on s.contract = d.contract and s.trading_day = d.trade_date
    where
        s.symbol = any(%(symbols)s)
        and s.status = 'complete'
        and d.is_final
        and d.volume is distinct from s.day_volume
        and s.volume < d.volume * %(least)s
"""


def row_of(row: IndexRow | NoDataRow, route: str, at: datetime) -> dict[str, Any]:
    """The record that lands of a row of the store."""
    names = OF_INDEX if isinstance(row, IndexRow) else OF_NO_DATA
    values = {name: getattr(row, name) for name in names}
    return values | {"source_route": route, "fetched_at": at, "is_final": True}


def copies(
    conn: psycopg.Connection, symbols: Collection[str] | None = None
) -> dict[DayKey, dict[str, Any]]:
    """What has landed of the index, and by which route its ticks came; of some series, or of all."""
    return _read(conn, "raw_tq.symbol_day", (*OF_INDEX, "source_route"), symbols)


def route_of(old: Mapping[str, Any] | None, row: IndexRow, otherwise: str) -> str:
    """By which route the ticks of a day came: the store does not say, so its copy is asked. `otherwise` where that
    is of other ticks."""
    known = old is not None and old["row_hash"] == row.row_hash
    return str(old["source_route"]) if old is not None and known else otherwise


def no_data_copies(
    conn: psycopg.Connection, symbols: Collection[str] | None = None
) -> dict[DayKey, dict[str, Any]]:
    """What has landed of the days without data, of which ticks have not come since."""
    found = _read(conn, "raw_tq.no_data_day", OF_NO_DATA, symbols)
    return {
        key: row | {"status": "no_data"}  # none of a row that an earlier version landed
        for key, row in found.items()
        if row["status"] != "superseded"
    }


def _read(
    conn: psycopg.Connection, table: str, names: tuple[str, ...], symbols: Collection[str] | None
) -> dict[DayKey, dict[str, Any]]:
    where = "" if symbols is None else " where symbol = any(%s)"
    rows = conn.execute(
        f"select {', '.join(names)} from {table}{where}".encode(),
        None if symbols is None else (list(symbols),),
    )
    return {DayKey(*row[:3]): dict(zip(names, row, strict=True)) for row in rows}


def outdated(conn: psycopg.Connection, symbols: Collection[str]) -> frozenset[DayKey]:
    """Complete days whose day bar is another one now, of which the ticks tell too little. Held against
    the new bar once more, a day is none of them, whatever its ticks are then."""
    rows = conn.execute(OUTDATED, {"symbols": list(symbols), "least": 1 - TOLERANCE})
    return frozenset(DayKey(*row) for row in rows)


def differing(
    stored: Mapping[DayKey, IndexRow], copied: Mapping[DayKey, Mapping[str, Any]]
) -> list[DayKey]:
    """Keys of which the copy is not what the store has, those that the store lacks included."""
    lost = {key for key, row in copied.items() if row["status"] == "complete"} - stored.keys()
    return sorted([*_changed(stored, copied, OF_INDEX), *lost])


def differing_no_data(
    stored: Mapping[DayKey, NoDataRow], copied: Mapping[DayKey, Mapping[str, Any]]
) -> list[DayKey]:
    """The same of the days without data, `copied` those of which ticks have not come since."""
    believed = {key: row for key, row in stored.items() if row.status == "no_data"}
    return sorted([*_changed(believed, copied, OF_NO_DATA), *(copied.keys() - believed.keys())])


def _changed(
    stored: Mapping[DayKey, IndexRow | NoDataRow],
    copied: Mapping[DayKey, Mapping[str, Any]],
    names: Sequence[str],
) -> list[DayKey]:
    return [
        key
        for key, row in stored.items()
        if key not in copied or any(getattr(row, name) != copied[key][name] for name in names)
    ]


def revision(
    old: Mapping[str, Any], now: Scheduled | None, new_hash: str | None, at: datetime
) -> dict[str, Any]:
    """The record of ticks that others took the place of."""
    return {
        "symbol": old["symbol"],
        "trading_day": old["trading_day"],
        "old_contract": old["contract"],
        "new_contract": now.contract if now else None,
        "old_hash": old["row_hash"],
        "new_hash": new_hash,
        "revised_at": at,
        "source_route": "index",
        "fetched_at": at,
        "is_final": True,
    }
