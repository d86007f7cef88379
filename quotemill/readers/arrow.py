"""The rows of a query as Arrow: decimals exact, times in UTC, batch by batch.

The server sends the rows as CSV by COPY, which pyarrow reads in C++. Binary COPY is no cheaper for
the server, and a numeric in it is digits of base 10,000 that Arrow has no decoder for.
"""

import re
import selectors
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import ClientCursor, pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

from quotemill.errors import UsageError
from quotemill.warehouse.connections import await_socket

BATCH = 4 * 2**20  # bytes of text that become a batch of rows
_TYPES: Mapping[int, pa.DataType] = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    700: pa.float32(),
    701: pa.float64(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
}
_NUMERIC, _TEXTS = 1700, 1009
NUMERIC_TEXT = {b"postgres": b"numeric"}  # of a field of texts that are numbers
_LONGEST = 38  # digits of a decimal of 128 bits


def stream_rows(
    conn: psycopg.Connection,
    query: str,
    values: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    as_float: bool = False,
) -> pa.RecordBatchReader:
    """The rows of a query in batches of some 4 MB, as the server sends them.

    Nothing else may use the connection before the last batch. A numeric is a decimal of its
    precision, with `as_float` a double; one without precision, and what Arrow has no type for, is
    the server's text.

    Raises psycopg's errors: the first here; after others, between batches, close the connection, as
    `Warehouse.lend` does.
    """
    text = ClientCursor(conn).mogrify(query.strip().rstrip(";"), values)
    # with a parameter the server takes one statement, so closing the bracket begins no other
    shown = f"select * from (\n{text.replace('%', '%%')}\n) as q limit %s"
    described = conn.execute(shown.encode(), (0,)).description or []
    if not described:
        raise UsageError("the query has no columns", hint="Select a column, as in select 1.")
    schema = pa.schema([_make_field(column, as_float) for column in described])
    _start_copy(conn, f"copy (\n{text}\n) to stdout (format csv)")
    return pa.RecordBatchReader.from_batches(schema, _read_batches(conn, schema))


def read_table(
    conn: psycopg.Connection,
    query: str,
    values: Mapping[str, Any] | Sequence[Any],
    most: int,
    *,
    as_float: bool = False,
) -> pa.Table:
    """The rows of a query as a table. Raises UsageError for more rows than `most`."""
    limited = f"select * from ({query}) as q limit {most + 1}"
    table = stream_rows(conn, limited, values, as_float=as_float).read_all()
    if table.num_rows > most:
        raise UsageError(
            f"the result has more than {most:,} rows", hint="Choose fewer days or longer bars."
        )
    return table


def _make_field(column: psycopg.Column, as_float: bool) -> pa.Field:
    if column.type_code == _NUMERIC:
        if as_float:
            return pa.field(column.name, pa.float64())
        digits, places = column.precision or 0, column.scale or 0
        if 0 < digits <= _LONGEST and places >= 0:
            return pa.field(column.name, pa.decimal128(digits, places))
        return pa.field(column.name, pa.string(), metadata=NUMERIC_TEXT)
    if column.type_code == _TEXTS:
        return pa.field(column.name, pa.list_(pa.string()))
    return pa.field(column.name, _TYPES.get(column.type_code, pa.string()))


def _read_batches(conn: psycopg.Connection, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    # by place: two columns of a query may have one name
    names = [str(place) for place in range(len(schema))]
    types = [pa.string() if pa.types.is_list(kind) else kind for kind in schema.types]
    parsing = pyarrow.csv.ParseOptions(ignore_empty_lines=False)  # a null of a lone column
    converting = pyarrow.csv.ConvertOptions(
        column_types=dict(zip(names, types, strict=True)),
        true_values=["t"],
        false_values=["f"],
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    for lines in _receive_lines(conn):
        reading = pyarrow.csv.ReadOptions(column_names=names, block_size=len(lines))
        try:
            table = pyarrow.csv.read_csv(pa.py_buffer(lines), reading, parsing, converting)
        except pa.ArrowInvalid as error:
            raise _explain_value(str(error), schema.names) from None
        for place, kind in enumerate(schema.types):
            if pa.types.is_list(kind):
                table = table.set_column(place, names[place], _parse_lists(table.column(place)))
        yield from table.rename_columns(schema.names).cast(schema).to_batches()


def _explain_value(text: str, names: Sequence[str]) -> UsageError:
    """The error for a value of the server that Arrow has not, such as a date without end."""
    place, value = re.search(r"#(\d+)", text), re.search(r"'(.*)'", text, re.DOTALL)
    name = names[int(place[1])] if place else "?"
    return UsageError(
        f"column {name} contains {value[1] if value else text}, which Arrow cannot hold",
        hint=f'Cast it to text: "{name}"::text.',
    )


def _parse_lists(texts: pa.ChunkedArray) -> pa.Array:
    """Lists from the server's text of them."""
    load = Transformer().get_loader(_TEXTS, pq.Format.TEXT).load
    lists = [None if text is None else load(text.encode()) for text in texts.to_pylist()]
    return pa.array(lists, pa.list_(pa.string()))


# psycopg's own Copy takes a Python call and a generator for each row, a third of the time
def _start_copy(conn: psycopg.Connection, statement: str) -> None:
    conn.pgconn.send_query_params(statement.encode(), None)  # one statement, as above
    while conn.pgconn.flush():
        await_socket(conn.pgconn.socket, selectors.EVENT_WRITE)
    result = _await_result(conn)
    if result is None or result.status != pq.ExecStatus.COPY_OUT:
        _end_copy(conn, result)


def _receive_lines(conn: psycopg.Connection) -> Iterator[bytearray]:
    """Whole lines of a COPY, some BATCH bytes at a time."""
    receive = conn.pgconn.get_copy_data
    lines = bytearray()
    while True:
        length, data = receive(1)
        if length > 0:
            # each line's own memory is free again at once: kept for a join, it costs thrice as much
            lines += data
            if len(lines) < BATCH:
                continue
        elif length == 0:
            _await_bytes(conn)
            continue
        if lines:
            yield lines
            lines = bytearray()
        if length < 0:
            return _end_copy(conn, _await_result(conn))


def _end_copy(conn: psycopg.Connection, result: Any) -> None:
    """Take the last results of a statement. Raises its error."""
    following = result
    while following is not None:
        following = _await_result(conn)
    if result is None or result.status != pq.ExecStatus.COMMAND_OK:
        raise (
            error_from_result(result, conn.info.encoding)
            if result is not None
            else psycopg.OperationalError(conn.info.error_message or "the connection was lost")
        )


def _await_result(conn: psycopg.Connection) -> Any:
    while conn.pgconn.is_busy():
        _await_bytes(conn)
    return conn.pgconn.get_result()


def _await_bytes(conn: psycopg.Connection) -> None:
    await_socket(conn.pgconn.socket, selectors.EVENT_READ)
    conn.pgconn.consume_input()
