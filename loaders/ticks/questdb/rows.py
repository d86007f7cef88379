"""Rows as QuestDB holds them, and the conditions that select them."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.ticks import index_tables
from loaders.ticks.store import Span
from loaders.ticks.tables import MAIN_TICKS, StoreTable
from quotemill.ticks.columns import DayKey, window
from quotemill.ticks.questdb_http import literal


def range_condition(symbol: str, contract: str | None, first: datetime, last: datetime) -> str:
    """Ticks from `first` (included) to `last` (excluded), of one contract or of any."""
    where = f"symbol = {literal(symbol)} and ts >= '{iso(first)}' and ts < '{iso(last)}'"
    return where + (f" and underlying_contract = {literal(contract)}" if contract else "")


def day_condition(symbol: str, contract: str | None, day: date, span: Span | None = None) -> str:
    """Visible ticks of a day: partitions are UTC days, stamps alone do not bound it.

    `span`: those of these times, of less partitions.
    """
    first, last = window(day)
    if span is not None:
        first, last = span[0], span[1] + timedelta(microseconds=1)
    where = range_condition(symbol, contract, first, last)
    return f"{where} and trading_day = {day:%Y%m%d} and not is_deleted"


def near_condition(*days: date) -> str:
    """All ticks of trading days; their times bound the partitions to read."""
    first, last = window(min(days))[0], window(max(days))[1]
    numbers = ", ".join(f"{day:%Y%m%d}" for day in sorted(days))
    return f"ts >= '{iso(first)}' and ts < '{iso(last)}' and trading_day in ({numbers})"


def series_condition(symbols: Collection[str] | None) -> str:
    """Rows of some series, or of all."""
    if symbols is None:
        return "1 = 1"
    # SQL has no empty list, and no series has an empty name
    return f"symbol in ({', '.join(literal(symbol) for symbol in sorted(symbols) or [''])})"


def with_flag(day: pa.Table) -> pa.Table:
    """TICKS as rows of MAIN_TICKS, none of them deleted."""
    flags = pa.repeat(False, day.num_rows)
    return day.append_column(MAIN_TICKS.schema.field("is_deleted"), flags)


def as_stored(table: StoreTable, rows: pa.Table) -> pa.Table:
    """Rows of the table's schema in the types that QuestDB's columns take."""
    for index, field in enumerate(table.schema):
        if pa.types.is_date32(field.type):
            numbers = index_tables.dates_to_numbers(rows[field.name])
            rows = rows.set_column(index, field.name, numbers)
    return rows.cast(stored_schema(table))


def stored_schema(table: StoreTable) -> pa.Schema:
    """The schema of the table in the types that QuestDB's columns take."""
    whole = {"INT": pa.int32()}
    return pa.schema(
        [pa.field(f.name, whole.get(table.questdb_type(f.name), f.type)) for f in table.schema]
    )


def find_replaced(old: pa.Table, day: pa.Table, key: DayKey) -> Any:
    """A mask of the rows of `old` that have no row in a new day."""
    stamps = np.concatenate([table["ts"].cast(pa.int64()).to_numpy() for table in (old, day)])
    seqs = np.concatenate([table["seq"].cast(pa.int64()).to_numpy() for table in (old, day)])
    ranks, rank = np.unique(seqs, return_inverse=True)
    # a window of stamps times the number of ranks: far below 64 bits
    places = (stamps - stamps.min()) * len(ranks) + rank
    same_place = np.isin(places[: old.num_rows], places[old.num_rows :])
    same_contract = pc.equal(old["underlying_contract"], key.contract).to_numpy()
    return ~(same_place & same_contract)


def iso(at: datetime) -> str:
    """A time as SQL has it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
