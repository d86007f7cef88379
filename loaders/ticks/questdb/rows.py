"""Rows as QuestDB holds them, and the conditions that name them."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.ticks import ledger
from loaders.ticks.day_hash import measured_row
from loaders.ticks.frame import DayKey, window
from loaders.ticks.questdb.http import literal
from loaders.ticks.store import Measured
from loaders.ticks.tables import MAIN_TICKS, StoreTable


def of(symbol: str, contract: str | None, first: datetime, last: datetime) -> str:
    where = f"symbol = {literal(symbol)} and ts >= '{_iso(first)}' and ts < '{_iso(last)}'"
    return where + (f" and underlying_contract = {literal(contract)}" if contract else "")


def of_day(symbol: str, contract: str | None, day: date) -> str:
    """What readers see of a day: partitions are of UTC days, so the stamps alone do not bound it."""
    return f"{of(symbol, contract, *window(day))} and trading_day = {day:%Y%m%d} and not is_deleted"


def of_series(symbols: Collection[str] | None) -> str:
    """Rows of some series, or of all."""
    if symbols is None:
        return "1 = 1"
    # there is no empty list in SQL, and no series without a name
    return f"symbol in ({', '.join(literal(symbol) for symbol in sorted(symbols) or [''])})"


def day_of_number(number: int) -> date:
    return date(number // 10_000, number // 100 % 100, number % 100)


def measured_of(row: dict[str, Any]) -> Measured:
    for name in ("first_ts", "last_ts"):
        row[name] = datetime.fromisoformat(row[name]) if row[name] else None
    return measured_row(row)


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def flagged(day: pa.Table, deleted: bool) -> pa.Table:
    flags = pa.repeat(deleted, day.num_rows)
    return day.append_column(MAIN_TICKS.schema.field("is_deleted"), flags)


def as_stored(table: StoreTable, rows: pa.Table) -> pa.Table:
    """Rows of the table's schema in the types that QuestDB's columns take."""
    for index, field in enumerate(table.schema):
        if pa.types.is_date32(field.type):
            rows = rows.set_column(index, field.name, ledger.yyyymmdd(rows[field.name]))
    return rows.cast(stored_schema(table))


def stored_schema(table: StoreTable) -> pa.Schema:
    whole = {"INT": pa.int32()}
    return pa.schema(
        [pa.field(f.name, whole.get(table.questdb_type(f.name), f.type)) for f in table.schema]
    )


def gone_from(old: pa.Table, day: pa.Table, key: DayKey) -> Any:
    """Which rows of `old` a new day replaces by nothing."""
    stamps = np.concatenate([table["ts"].cast(pa.int64()).to_numpy() for table in (old, day)])
    seqs = np.concatenate([table["seq"].cast(pa.int64()).to_numpy() for table in (old, day)])
    ranks, rank = np.unique(seqs, return_inverse=True)
    # a window of stamps times the ranks there are: never near 64 bits
    places = (stamps - stamps.min()) * len(ranks) + rank
    same_place = np.isin(places[: old.num_rows], places[old.num_rows :])
    same_contract = pc.equal(old["underlying_contract"], key.contract).to_numpy()
    return ~(same_place & same_contract)
