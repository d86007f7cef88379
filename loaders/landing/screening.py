"""Rows that a landed table can hold. Others are rejected one by one, before any cast.

The limits are the declaration's (loaders.warehouse.tables.LandedTable): its types, `most`, within
which the casts of the SQL models stay, and what PostgreSQL's text and indexes take.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from loaders.landing.rejects import Rejected, row_key, shown
from loaders.warehouse.tables import LandedTable

FIRST, LAST = date(1900, 1, 1), date(2999, 12, 31)
KEY_BYTES = 500  # an index entry of several such columns still fits a page
TINY = 1e-100  # PostgreSQL takes a product too small for a double as an error
_UNFIT = (pa.ArrowException, OverflowError, TypeError, ValueError)
_Rows: TypeAlias = pa.Table | Sequence[Mapping[str, Any]]


class Screened(NamedTuple):
    """Rows of the declared schema; the rules that others broke; those rows as they came."""

    rows: pa.Table
    rejected: list[Rejected]
    rejected_rows: list[dict[str, Any]]


def screen(rows: _Rows, landed: LandedTable) -> Screened:
    """The rows that `landed` can hold, cast to its schema. `rows` is a table or a list of records.

    Of a unit that is replaced as one (a day of ticks) one rejected row rejects all.
    """
    columns: list[pa.ChunkedArray | pa.Array] = []
    broken: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for column in landed.schema:
        name = column.name
        is_table = isinstance(rows, pa.Table)
        values = rows[name] if is_table else [row.get(name) for row in rows]
        array, unfit = _cast(values, column.type)
        columns.append(array)
        for index in unfit:
            broken[index].append((column.name, f"must be {_NAMES[column.type.id]}"))
        for rule, mask in _rules(array, column, landed):
            for index in pc.indices_nonzero(mask).to_pylist():
                if index not in unfit:
                    broken[index].append((column.name, rule))
    table = pa.table(columns, schema=landed.schema)
    if not broken:
        return Screened(table, [], [])
    rejected_rows = [_row(rows, landed, index) for index in sorted(broken)]
    rejected = [
        _rejected(landed, row, field, rule)
        for row, index in zip(rejected_rows, sorted(broken), strict=True)
        for field, rule in broken[index]
    ]
    keep = [index for index in range(len(table)) if index not in broken]
    if landed.whole:
        unit = list(zip(*(_codes(table[name]) for name in landed.whole), strict=True))
        broken_units = {unit[index] for index in broken}
        keep = [index for index in keep if unit[index] not in broken_units]
    return Screened(table.take(pa.array(keep, pa.int64())), rejected, rejected_rows)


def _codes(column: pa.ChunkedArray) -> list[int | None]:
    """Numbers that are the same for the same values; Python has no name for some days."""
    indices: list[int | None] = column.combine_chunks().dictionary_encode().indices.to_pylist()
    return indices


def _cast(values: Any, kind: pa.DataType) -> tuple[Any, set[int]]:
    """The values in the declared type, and those that do not fit it, which are null."""
    try:
        # given the type at once, Arrow would cut fractions off
        return (pa.array(values) if isinstance(values, list) else values).cast(kind), set()
    except _UNFIT:
        fitting, unfit = [], set()
        for index, value in enumerate(values):
            try:
                item = value if isinstance(value, pa.Scalar) else pa.scalar(value)
                fitting.append(item.cast(kind))
            except _UNFIT:
                unfit.add(index)
                fitting.append(pa.scalar(None, kind))
        return pa.array(fitting, kind), unfit


def _rules(array: Any, column: pa.Field, landed: LandedTable) -> Iterator[tuple[str, Any]]:
    """Rules that some value breaks, each with the mask of those that do."""
    if not column.nullable and array.null_count:
        yield "must not be missing", pc.is_null(array)
    kind = column.type
    if pa.types.is_string(kind):
        if (mask := _any(pc.match_substring(array, "\0"))) is not None:
            yield "text must not hold the character NUL", mask
        longest = KEY_BYTES if landed.is_indexed(column.name) else landed.most_of(column.name)
        if longest and (mask := _any(pc.greater(pc.binary_length(array), longest))) is not None:
            yield f"must not be longer than {longest} bytes", mask
        return
    if pa.types.is_floating(kind):
        if (mask := _any(pc.invert(pc.is_finite(array)))) is not None:
            yield "must be a finite number", mask
        tiny = pc.and_(pc.less(pc.abs(array), TINY), pc.not_equal(array, 0))
        if (mask := _any(tiny)) is not None:
            yield f"must be 0, or {TINY} away from it", mask
    least, most = limits(column, landed)
    if least is None:
        return
    first, last = pa.scalar(least, kind), pa.scalar(most, kind)
    outside = pc.or_(pc.less(array, first), pc.greater(array, last))
    if (mask := _any(outside)) is not None:
        yield f"must lie between {least} and {most}", mask


def _any(mask: Any) -> Any:
    return mask if pc.any(mask).as_py() else None


def limits(column: pa.Field, landed: LandedTable) -> tuple[Any, Any]:
    """The least and greatest value of a column; None for a text, and where its type bounds it."""
    kind = column.type
    if pa.types.is_string(kind):
        return None, None
    if pa.types.is_date(kind):
        return FIRST, LAST
    if pa.types.is_timestamp(kind):
        zone = UTC if kind.tz else None
        first, last = (datetime(d.year, d.month, d.day, tzinfo=zone) for d in (FIRST, LAST))
        return first, last
    most = landed.most_of(column.name)
    if most is None:
        return None, None
    return (Decimal(-most), Decimal(most)) if pa.types.is_decimal(kind) else (-most, most)


def _row(rows: _Rows, landed: LandedTable, index: int) -> dict[str, Any]:
    if not isinstance(rows, pa.Table):
        return dict(rows[index])
    return {name: python_value(rows[name][index]) for name in landed.schema.names}


def python_value(value: pa.Scalar) -> Any:
    """A value of a row; the number that Arrow stores where Python has no such value."""
    try:
        return value.as_py()
    except (OverflowError, ValueError):  # a day or a time beyond Python's years
        return value.value


def _rejected(landed: LandedTable, row: Mapping[str, Any], field: str, rule: str) -> Rejected:
    payload = json.dumps(row, default=str)  # orjson takes no number of more than 64 bits
    return Rejected(row_key(row, landed.key), field, rule, shown(row.get(field)), payload)


_NAMES = {
    pa.string().id: "a text",
    pa.bool_().id: "true or false",
    pa.int16().id: "a whole number of 16 bits",
    pa.int32().id: "a whole number of 32 bits",
    pa.int64().id: "a whole number of 64 bits",
    pa.float64().id: "a number",
    pa.date32().id: "a day",
    pa.timestamp("us").id: "an instant",
    pa.decimal128(1).id: "a decimal of the column's digits",
}
