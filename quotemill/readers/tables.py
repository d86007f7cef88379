"""Rows of a table that users read, by code and day."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg

from quotemill.codes import read_us_symbol
from quotemill.errors import UsageError
from quotemill.readers.klines import find_securities
from quotemill.readers.listed import NotListed, require_built, require_known, require_order
from quotemill.readers.main_contracts import find_variety
from quotemill.readers.queries import Table, bound_rows, compose_query, quote

_HAS_MONTH = re.compile(r"\d")  # a contract's code, not a variety's
_NAMES = """
    select n.nspname || '.' || c.relname
    from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid
    where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v', 'm')
"""


def find_name(conn: psycopg.Connection, schemas: Mapping[str, str], text: str) -> str:
    """The full name of a table in one of some schemas, the first that has it.

    schemas: their names by those that users write

    Raises NotListed, with names near it.
    """
    known = [name for (name,) in conn.execute(_NAMES, (list(schemas.values()),))]
    prefix, _, short = text.rpartition(".")
    short = short.lower()
    asked = [schemas.get(prefix.lower(), prefix)] if prefix else list(schemas.values())
    for schema in asked:
        if f"{schema}.{short}" in known:
            return f"{schema}.{short}"
    names = {name.partition(".")[2]: name for name in known}
    near = ", ".join(names[name] for name in difflib.get_close_matches(short, names, n=3))
    others = f"Run `quotemill build`, or use sql() beyond the schemas {', '.join(schemas)}."
    hint = f"Choose a similar one: {near}." if near else others
    raise NotListed(f"there is no table {text}", hint=hint)


def choose_entity(table: Table, texts: Sequence[str]) -> Table:
    """The table, whose rows are found by contract where the codes are contracts."""
    has_both = {"variety", "contract"} <= {*table.columns}
    return replace(table, is_by_contract=has_both and any(map(_HAS_MONTH.search, texts)))


def find_codes(
    conn: psycopg.Connection, schemas: Mapping[str, str], table: Table, texts: Sequence[str]
) -> list[str]:
    """Codes of any form as a table has them. Raises NotListed for those without a row."""
    if table.entity is None:
        raise UsageError(f"{table.name} has no codes", hint="Leave out codes.")
    if table.entity == "code":
        return [security.code for security in find_securities(conn, schemas["market"], texts)]
    if table.entity == "variety":
        return [find_variety(conn, schemas["futures"], text) for text in texts]
    codes = (
        [read_us_symbol(text.upper()) for text in texts]
        if table.is_of(schemas["options"])
        else texts
    )
    query = f"select 1 from {table.name} where {table.entity} = %s limit 1"
    for code in codes:
        if conn.execute(query.encode(), (code,)).fetchone() is None:
            raise NotListed(f"there is no {table.entity} {code} in {table.name}")
    return list(codes)


def require_values(
    conn: psycopg.Connection, name: str, wanted: Mapping[str, Sequence[str]]
) -> None:
    """Raises UsageError for values that a column of a small table with rows has nowhere."""
    for column, values in wanted.items():
        require_built(conn, name)
        query = f"select distinct {column} from {name} order by {column}"
        known = [value for (value,) in conn.execute(query.encode())]
        require_known(f"{name}: {column}", values, known or values)


def select_rows(
    table: Table,
    *,
    columns: Sequence[str] = (),
    codes: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    count: int | None = None,
    order: Sequence[str] | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
) -> tuple[str, dict[str, Any]]:
    """The query for rows of a table, and its values.

    columns: none: all
    codes: of the column that names a row; none: all
    start, end: days or times, both included; of rows that hold for a time: those that held then
    count: only the last rows, of each code
    order: columns that the rows are ordered by; none: as they come; None: by name and time
    where: further columns with the values that they may have

    Raises UsageError for a column that the table has not, for a day where it has none, and for a
    time if it only has days.
    """
    require_order(start, end)
    require_known(f"{table.name}: column", columns, table.columns)
    if count is not None and table.order in ([], [table.entity]):
        raise UsageError(f"{table.name} has no times to order by", hint="Leave out count.")
    chosen = {name: table.select(name) for name in columns or table.columns}
    conditions = bound_rows(table, start=start, end=end)
    values: dict[str, Any] = {"start": start, "end": end}
    for name, wanted in (where or {}).items():
        conditions.append(f"{quote(name)} = any(%(of_{name})s)")
        values[f"of_{name}"] = list(wanted)
    return compose_query(
        table.name,
        chosen,
        entity=table.entity,
        codes=codes,
        where=conditions,
        order=table.order if order is None else order,
        count=count,
        values=values,
    )
