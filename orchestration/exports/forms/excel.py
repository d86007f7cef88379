"""Excel: one .xlsx with one sheet, whose rows are those of the table.

A cell's number is a double: it shows 15 digits, so prices are exact to the eye and not to the last
bit. Times are in UTC, without saying so: Excel knows no zone.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg

from loaders.files.whole_file import unfinished
from orchestration.exports.folder import Files, Folder
from orchestration.exports.forms.form import Form, Plan
from orchestration.exports.parts import WHOLE, Part, stream_part
from orchestration.exports.source import Source, explaining
from quotemill.errors import SettingsError, UsageError
from quotemill.installation import install_hint

MOST = 2**20 - 1  # rows of a sheet below that of the names
_MOST_WHOLE = 10**15  # beyond, a double would change digits
_MADE_AT = datetime(2000, 1, 1)  # in place of now: equal rows make equal files


def _plan(conn: psycopg.Connection, source: Source, _: Mapping[str, Any]) -> Plan:
    """The whole table. Raises UsageError for more rows than a sheet holds."""
    require_library()
    with explaining():
        query, values = source.select("1")
        counted = f"select count(*) from ({query} limit {MOST + 1}) as q"
        [(rows,)] = conn.execute(counted.encode(), values)
    if rows > MOST:
        narrower = [
            *(["--codes"] if source.entity else []),
            *(["--since"] if source.day else []),
        ]
        raise UsageError(
            f"{source.name} has more rows than the {MOST:,} of a sheet",
            hint=f"narrow it by {' or '.join(narrower)}" if narrower else "narrow the query",
        )
    return Plan([Part(WHOLE)])


def require_library() -> None:
    """Raises SettingsError where what writes the files is not installed."""
    try:
        import xlsxwriter  # noqa: F401
    except ModuleNotFoundError:
        raise SettingsError(
            "xlsxwriter, which writes Excel's files, is not installed",
            hint=install_hint("exports"),
        ) from None


def _write_part(
    conn: psycopg.Connection, folder: Folder, source: Source, part: Part, _: Plan
) -> Files:
    import xlsxwriter

    reader = stream_part(conn, source, part)
    name = f"{source.name}.xlsx"
    path, rows = folder.make_path(name), 0
    with folder.usable(), unfinished(path).open("wb") as file:
        options = {"constant_memory": True, "default_date_format": "yyyy-mm-dd"}
        with xlsxwriter.Workbook(file, options) as book:
            book.set_properties({"created": _MADE_AT})
            moments = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
            sheet = book.add_worksheet(source.name[:31])
            sheet.freeze_panes(1, 0)
            sheet.write_row(0, 0, reader.schema.names)
            for batch in reader:
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    rows += 1
                    for place, value in enumerate(row):
                        _write_cell(sheet, (rows, place), value, moments)
    return {name: folder.measure(name, rows)}


def _write_cell(sheet: Any, place: tuple[int, int], value: Any, moments: Any) -> None:
    if value is None:
        return
    if isinstance(value, datetime):
        plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        sheet.write_datetime(*place, plain, moments)
    elif isinstance(value, bool):
        sheet.write_boolean(*place, value)
    elif isinstance(value, Decimal):
        sheet.write_number(*place, float(value))
    elif isinstance(value, int | float):
        is_exact = isinstance(value, float) or abs(value) < _MOST_WHOLE
        if is_exact and math.isfinite(value):
            sheet.write_number(*place, value)
        else:
            sheet.write_string(*place, str(value))
    elif isinstance(value, list):
        sheet.write_string(*place, ",".join(map(str, value)))
    elif isinstance(value, str):
        sheet.write_string(*place, value)
    else:  # a date or a time
        sheet.write_datetime(*place, value)


FORM = Form(re.compile(r"\w+\.xlsx"), _plan, _write_part)
