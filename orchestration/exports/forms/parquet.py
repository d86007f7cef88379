"""Parquet: a file per month, `kline_daily/month=2024-01/part-0.parquet`; one without days."""

import re
from itertools import chain

import psycopg
import pyarrow as pa

from orchestration.archive.folder import FileWriter
from orchestration.exports.folder import Files, Folder
from orchestration.exports.forms.form import Form, Plan
from orchestration.exports.parts import WHOLE, Part, list_months, stream_part
from orchestration.exports.source import Source

_NAME = "part-0.parquet"
_PATTERN = re.compile(r"\w+/(month=(\d+-\d\d|none)/)?part-0\.parquet")


def _write_part(
    conn: psycopg.Connection, folder: Folder, source: Source, part: Part, _: Plan
) -> Files:
    month = "" if part.name == WHOLE else f"month={part.name}/"
    name = f"{source.name}/{month}{_NAME}"
    reader = stream_part(conn, source, part)
    first = next((batch for batch in reader if batch.num_rows), None)
    if first is None and part.name != WHOLE:
        return {}
    path, rows = folder.path(name), 0
    with folder.usable(), FileWriter(path, reader.schema, "zstd") as writer:
        for batch in chain([first] if first else [], reader):
            writer.write(pa.Table.from_batches([batch]))
            rows += batch.num_rows
        writer.close()
    return {name: folder.measure(name, rows)}


FORM = Form(_PATTERN, lambda conn, source: Plan(list_months(conn, source)), _write_part)
