"""DuckDB: one file with one table, whose rows and exact decimals are those of the source."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import psycopg

from loaders.files.whole_file import unfinished
from orchestration.exports.folder import Files, Folder
from orchestration.exports.forms.form import Form, Plan
from orchestration.exports.parts import WHOLE, Part, stream_part
from orchestration.exports.source import Source
from quotemill.errors import SettingsError, UpstreamError
from quotemill.installation import install_hint


def _plan(*_: Any) -> Plan:
    if importlib.util.find_spec("duckdb") is None:
        raise SettingsError("DuckDB is not installed", hint=install_hint("exports"))
    return Plan([Part(WHOLE)])


def _write_part(
    conn: psycopg.Connection, folder: Folder, source: Source, part: Part, _: Plan
) -> Files:
    import duckdb

    reader = stream_part(conn, source, part)
    name = f"{source.name}.duckdb"
    new = unfinished(folder.make_path(name))
    rows = 0
    with folder.usable():
        # of a writer that was killed: DuckDB would take it for the log of the new file
        Path(f"{new}.wal").unlink(missing_ok=True)
        try:
            with duckdb.connect(str(new)) as database:
                database.register("batch", reader.schema.empty_table())
                database.execute(f'create table "{source.name}" as select * from batch')
                # batch by batch: an error of the reader stays its own
                for batch in reader:
                    database.register("batch", batch)
                    database.execute(f'insert into "{source.name}" select * from batch')
                    rows += batch.num_rows
        except duckdb.IOException as error:
            raise UpstreamError(
                f"{new} cannot be written: {error}", hint="free some space on its disk"
            ) from None
    return {name: folder.measure(name, rows)}


# a reader of its own, or a writer that was killed, may have left its log beside the file
FORM = Form(re.compile(r"\w+\.duckdb(\.wal)?|\.\w+\.duckdb\.new\.wal"), _plan, _write_part)
