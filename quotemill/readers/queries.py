"""Queries for the rows of a table: of some codes and days, in an order, or only the last ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from quotemill.errors import UsageError
from quotemill.readers.listed import require_built
from quotemill.rows import DAYS, NAMES, TIMES, find_first

# columns between which a row holds, each with what a day is to it
_SPANS = (
    (("valid_from", "<="), ("valid_to", ">")),
    (("last_bar_date", "<"), ("trade_date", ">")),  # of suspensions: the bars around one
    (("first_trading_day", "<="), ("last_trading_day", ">=")),
    (("list_date", "<="), ("delist_date", ">=")),
)
# what else tells the rows of a name and a time apart
_REST = (
    "change_no",
    "ordinal",
    "seq",
    "sector_id",
    "session",
    "idx",
    "expiry",
    "option_right",
    "strike",
)


@dataclass(frozen=True)
class Table:
    """A table by its full name, and the columns that rows are found by; None without one.

    is_by_contract: where it has varieties too
    loose: columns with numbers of any precision
    """

    name: str
    columns: tuple[str, ...]
    is_by_contract: bool = False
    loose: frozenset[str] = frozenset()

    def is_of(self, schema: str) -> bool:
        return self.name.startswith(f"{schema}.")

    @property
    def entity(self) -> str | None:
        return "contract" if self.is_by_contract else find_first(NAMES, self.columns)

    @property
    def day(self) -> str | None:
        return find_first(DAYS, self.columns)

    @property
    def time(self) -> str | None:
        return find_first(TIMES, self.columns)

    def select(self, column: str) -> str:
        """A column in a query: 18 places of what has any number of them, as Arrow has not."""
        return quote(column) + ("::numeric(38, 18)" if column in self.loose else "")

    @property
    def order(self) -> list[str]:
        names = [self.entity, self.time or self.day, *_REST]
        return [name for name in names if name in self.columns and name is not None]


def describe_table(conn: psycopg.Connection, name: str) -> Table:
    """A table by its full name. Raises UsageError if it is not built."""
    require_built(conn, name)
    query = (
        "select attname, atttypid = 'numeric'::regtype and atttypmod = -1 from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum"
    )
    columns: dict[str, bool] = dict(conn.execute(query, (name,)).fetchall())
    loose = frozenset(column for column, is_loose in columns.items() if is_loose)
    return Table(name, tuple(columns), loose=loose)


def compose_query(
    source: str,
    columns: Mapping[str, str],
    *,
    entity: str | None,
    codes: Sequence[str],
    where: Sequence[str],
    order: Sequence[str],
    count: int | None,
    values: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    """The query for rows of some codes in an order, and its values.

    columns: what to select by its name
    count: only the last rows of each code. Raises UsageError without codes.
    """
    given = dict(values) | {"codes": list(codes), "count": count}
    if len(codes) == 1:  # which the planner carries over to joins
        where, given["codes"] = [f"{entity} = %(codes)s", *where], codes[0]
    elif codes and count is None:
        where = [f"{entity} = any(%(codes)s)", *where]
    if count is None:
        return _select(source, columns, where, order), given
    if count < 1:
        raise UsageError(
            f"count must be at least 1, not {count}", hint="Pass count=1 for the last row."
        )
    if entity and not codes:
        raise UsageError("count needs codes", hint="Pass codes.")
    each = [f"{entity} = each.code", *where] if len(codes) > 1 else where
    known = {name: name for name in order} | dict(columns)
    last = f"({_select(source, known, each, [f'{name} desc' for name in order])} limit %(count)s)"
    if len(codes) > 1:
        last = f"unnest(%(codes)s::text[]) as each (code) cross join lateral {last}"
    shown = {name: f"last.{quote(name)}" for name in columns}
    return _select(f"{last} as last", shown, [], [f"last.{name}" for name in order]), given


def bound_rows(
    table: Table, *, start: date | None, end: date | None, as_of: date | None = None
) -> list[str]:
    """Conditions of the values `start`, `end` and `as_of`, each included.

    Raises UsageError for a day or a time if the table has no column of them.
    """
    where = []
    span = next((s for s in _SPANS if all(name in table.columns for name, _ in s)), None)
    for value, moment in (("start", start), ("end", end), ("as_of", as_of)):
        if moment is None:
            continue
        is_time, way = isinstance(moment, datetime), ">=" if value == "start" else "<="
        if is_time and table.time is None:
            raise UsageError(
                f"{table.name} only has days, so {value} can't be {moment:%Y-%m-%d %H:%M}",
                hint=f'Write {value}="{moment:%Y-%m-%d}".',
            )
        if span:
            name, way = span[value == "start"]
            where.append(f"({name} {way} %({value})s) is not false")
            continue
        if table.day is None:
            raise UsageError(f"{table.name} has no days", hint="Leave out start and end.")
        where.append(f"{table.time if is_time else table.day} {way} %({value})s")
        # chunks are by time: a trading day is within a day of UTC around it
        if not is_time and table.time == "bar_end":
            reach = "- interval '1 day'" if value == "start" else "+ interval '2 days'"
            where.append(f"bar_end {way} %({value})s::timestamp at time zone 'UTC' {reach}")
    return where


def _select(
    source: str, columns: Mapping[str, str], where: Sequence[str], order: Sequence[str]
) -> str:
    chosen = ", ".join(f"{what} as {quote(name)}" for name, what in columns.items())
    condition = f" where {' and '.join(where)}" if where else ""
    return f"select {chosen} from {source}{condition}" + (
        f" order by {', '.join(order)}" if order else ""
    )


def quote(name: str) -> str:
    """A name in the text of a query with values."""
    return sql.Identifier(name).as_string().replace("%", "%%")
