"""The rows of a query as an Arrow table: decimals exact, times in UTC."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import pyarrow as pa

from loaders.errors import UsageError

_TYPES: Mapping[int, pa.DataType] = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    25: pa.string(),
    700: pa.float32(),
    701: pa.float64(),
    1009: pa.list_(pa.string()),
    1043: pa.string(),
    1082: pa.date32(),
    1184: pa.timestamp("us", tz="UTC"),
}
_NUMERIC = 1700


def read_table(
    conn: psycopg.Connection,
    query: str,
    values: Mapping[str, Any] | Sequence[Any],
    most: int,
) -> pa.Table:
    """The rows of a query as a table.

    Raises UsageError for more rows than `most`, and for a type of a column that is not known.
    """
    cursor = conn.execute(query.encode(), values)
    columns = cursor.description or []
    schema = pa.schema([(column.name, _find_type(column)) for column in columns])
    rows = cursor.fetchmany(most + 1)
    if len(rows) > most:
        raise UsageError(
            f"these are more than {most:,} rows", hint="ask for fewer days, or longer bars"
        )
    by_column = list(zip(*rows, strict=True)) if rows else [() for _ in columns]
    arrays = [
        pa.array(column, type=field.type) for column, field in zip(by_column, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _find_type(column: Any) -> pa.DataType:
    if column.type_code == _NUMERIC and column.precision is not None:
        return pa.decimal128(column.precision, column.scale)
    if column.type_code not in _TYPES:
        raise UsageError(f"column {column.name} has a type that Arrow has no name for here")
    return _TYPES[column.type_code]
