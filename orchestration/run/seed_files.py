"""Files of seeds that dbt cannot read: it is given a copy in which their other lines count.

dbt parses no project with a file that is not UTF-8 or is missing, and loads no file with a line of
more cells than its header. The models judge the cells (models/staging/seeds).
"""

import contextlib
import csv
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import yaml
from psycopg import sql

from quotemill.errors import SettingsError
from quotemill.foreign import CSV_FILE, read_file
from quotemill.warehouse.postgres import Warehouse, WarehouseAway

# dbt_project.yml has the folder of seeds from here, or the project's own
FOLDER = "QUOTEMILL_SEEDS"

_NO_HEADER = "unreadable header: the file is missing or empty, or its header lacks "

Rows = list[list[str]]


def edited_columns(seeds: Path) -> dict[str, list[str]]:
    """The columns of each seed that users edit; the last is a remark."""
    described = yaml.safe_load((seeds / "_seeds.yml").read_text("utf-8"))["seeds"]
    return {
        seed["name"]: list(seed["config"]["column_types"])
        for seed in described
        if seed["config"].get("meta", {}).get("edited")
    }


def read_lines(content: bytes, columns: Sequence[str]) -> tuple[Rows, list[str]]:
    """The cells of each line below the header in the order of `columns`, and columns it lacks.

    The last cell of a line that cannot be read says why, after `unreadable line: `.
    """
    text = content.decode("utf-8-sig", errors="replace").replace("\0", "\ufffd")
    lines = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]
    # the parser takes neither a carriage return within a line nor a cell beyond its limit
    most = csv.field_size_limit()
    lines = [x.replace("\r", "\ufffd") if len(x) <= most else "\ufffd" for x in lines]
    header, *cells_by_line = (next(csv.reader([line], skipinitialspace=True), []) for line in lines)
    names = [name.strip(" \t\u00a0\u3000").lower() for name in header]
    lacking = [name for name in columns if names.count(name) != 1]
    if lacking:
        return [], lacking
    rows = []
    for line, cells in zip(lines[1:], cells_by_line, strict=True):
        by_name = dict(zip(names, cells, strict=False))
        row = [by_name.get(name, "") for name in columns] if line.strip() else []
        if "\ufffd" in line:
            row[-1] = "unreadable line: must be UTF-8 text; save the file in this encoding"
        elif any(cell.strip() for cell in cells[len(names) :]):
            row[-1] = "unreadable line: must have the cells of the header; quote a comma"
        rows.append(row)
    return rows, []


def is_readable(content: bytes, columns: Sequence[str], rows: Rows) -> bool:
    """Whether dbt reads these rows from the file by itself."""
    try:
        text = content.decode("utf-8-sig")
        return list(csv.reader(io.StringIO(text))) == [list(columns), *rows]
    except (UnicodeDecodeError, csv.Error):
        return False


def lines_of_before(warehouse: Warehouse, seed: str, columns: Sequence[str]) -> Rows:
    """The lines that the last build loaded."""
    query = sql.SQL("select {} from {} order by line").format(
        sql.SQL(", ").join(sql.SQL("coalesce({}, '')").format(sql.Identifier(c)) for c in columns),
        sql.Identifier(warehouse.inner_schema("quotemill_intermediate"), seed),
    )
    try:
        rows = warehouse.ask(lambda conn: conn.execute(query).fetchall(), patient=False)
    except (psycopg.errors.UndefinedTable, WarehouseAway):
        return []
    return [list(row) for row in rows if not row[-1].startswith(_NO_HEADER)]


@contextlib.contextmanager
def readable_seeds(seeds: Path, copies: Path, warehouse: Warehouse) -> Iterator[None]:
    """Let dbt read `seeds`; where it cannot, a copy in the folder `copies`.

    While a file is missing or has no header, the lines of the last build go on to count.
    """
    changed = {}
    for name, columns in edited_columns(seeds).items():
        path = seeds / f"{name}.csv"
        content = read_file(path, CSV_FILE, SettingsError) if path.exists() else b""
        rows, lacking = read_lines(content, columns)
        if lacking:
            remark = _NO_HEADER + ", ".join(lacking)
            rows = lines_of_before(warehouse, name, columns)
            rows.append([""] * (len(columns) - 1) + [remark])
        elif is_readable(content, columns, rows):
            continue
        changed[name] = [columns, *rows]
    if not changed:
        yield
        return
    shutil.copytree(seeds, copies, dirs_exist_ok=True)
    for name, table in changed.items():
        with (copies / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)
    os.environ[FOLDER] = str(copies)
    try:
        yield
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(copies)
