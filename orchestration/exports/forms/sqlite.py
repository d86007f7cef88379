"""SQLite: one file with one table. Numbers are doubles, days and times are texts, times in UTC.

SQLite knows no decimals: a price is exact to 15 digits.
"""

import contextlib
import re
import sqlite3
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa

from loaders.files.whole_file import unfinished
from orchestration.exports.folder import Files, Folder
from orchestration.exports.forms.form import Form, Plan
from orchestration.exports.parts import WHOLE, Part, stream_part
from orchestration.exports.source import Source
from quotemill.errors import UpstreamError


def _write_part(
    conn: psycopg.Connection, folder: Folder, source: Source, part: Part, _: Plan
) -> Files:
    reader = stream_part(conn, source, part)
    name = f"{source.name}.sqlite"
    new = unfinished(folder.make_path(name))
    columns = ", ".join(f'"{field.name}" {_name_type(field.type)}' for field in reader.schema)
    places = ", ".join("?" * len(reader.schema))
    rows = 0
    with folder.usable():
        try:
            with contextlib.closing(sqlite3.connect(new)) as database, database:
                # the file is new, and has another name until it is on disk
                database.execute("pragma journal_mode = off")
                database.execute("pragma synchronous = off")
                database.execute(f'create table "{source.name}" ({columns})')
                for batch in reader:
                    values = ([_convert(value) for value in row] for row in _list_rows(batch))
                    database.executemany(f'insert into "{source.name}" values ({places})', values)
                    rows += batch.num_rows
        except sqlite3.OperationalError as error:
            raise UpstreamError(
                f"{new} cannot be written: {error}", hint="free some space on its disk"
            ) from None
    return {name: folder.measure(name, rows)}


def _list_rows(batch: pa.RecordBatch) -> "zip[tuple[Any, ...]]":
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _name_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return "integer"
    return "real" if pa.types.is_decimal(kind) or pa.types.is_floating(kind) else "text"


def _convert(value: Any) -> Any:
    match value:
        case Decimal():
            return float(value)
        case datetime():
            plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return plain.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case list():
            return ",".join(map(str, value))
    return value


FORM = Form(re.compile(r"\w+\.sqlite"), lambda *_: Plan([Part(WHOLE)]), _write_part)
