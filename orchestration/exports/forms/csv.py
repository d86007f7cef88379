"""CSV: a file per code, `kline_daily/sh600000.csv`; one file where there is no column of codes."""

import re

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from loaders.files.whole_file import unfinished
from orchestration.exports.folder import Files, Folder
from orchestration.exports.forms.form import Form, Plan
from orchestration.exports.parts import Part, list_codes, name_file, stream_part
from orchestration.exports.source import Source

_STYLE = pyarrow.csv.WriteOptions(quoting_style="needed")


def _write_part(
    conn: psycopg.Connection, folder: Folder, source: Source, part: Part, _: Plan
) -> Files:
    name = f"{source.name}/{name_file(part)}.csv"
    reader = stream_part(conn, source, part)
    path, rows = folder.make_path(name), 0
    fields = [
        field.with_type(pa.string()) if pa.types.is_list(field.type) else field
        for field in reader.schema
    ]
    schema = pa.schema(fields)
    with (
        folder.usable(),
        unfinished(path).open("wb") as file,
        pyarrow.csv.CSVWriter(file, schema, write_options=_STYLE) as writer,
    ):
        for batch in reader:
            columns = [
                pc.binary_join(column, ",") if pa.types.is_list(column.type) else column
                for column in batch.columns
            ]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            rows += batch.num_rows
    return {name: folder.measure(name, rows)}


FORM = Form(
    re.compile(r"\w+/[^/]+\.csv"),
    lambda conn, source: Plan(list_codes(conn, source)),
    _write_part,
)
