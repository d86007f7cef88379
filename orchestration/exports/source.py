"""The rows of an export: its table or query, with the columns that divide it into files."""

import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import sql

from orchestration.exports.definition import Definition
from quotemill.errors import UsageError
from quotemill.readers.klines import find_securities
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

# the first that is there: of bars of a period the feed names its start
DAYS = ("week_start", "month_start", "trade_date", "trading_day", "ex_date")
ENTITIES = ("code", "symbol", "variety")
TIMES = ("bar_end", "traded_at", "ts", "sample_time")  # of tables with many rows a day
_NAME = re.compile(r"(\w+\.)?\w+")
_DATE = 1082
_UNORDERED = (114, 142, 600)  # json, xml, point: types that nothing sorts


@dataclass(frozen=True)
class Source:
    """The rows of an export.

    name: of the table without its schema, or `query`
    relation: `market.kline_daily_qfq`; empty of a query
    market: the schema of the tables that users read
    rows: what follows `from`
    columns: the type of each by name
    order: names that the rows of a file are ordered by
    day: the column of dates, by which months are divided, if it has one
    entity: the column of codes, if it has one
    codes: only these; none: all
    is_exact: whether numbers stay decimals
    """

    name: str
    relation: str
    market: str
    rows: str
    columns: Mapping[str, str]
    order: tuple[str, ...]
    day: str | None
    entity: str | None
    codes: tuple[str, ...]
    since: date | None
    is_exact: bool

    @property
    def is_long(self) -> bool:
        """Whether a month is too much to be sorted at once."""
        return self.day is not None and any(name in TIMES for name in self.columns)

    def select(
        self,
        chosen: str | None = None,
        *,
        code: str | None = None,
        days: tuple[date, date] | None = None,
        dayless: bool = False,
        group: str | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """A query for rows and its values: of a code, of days (the last one is left out).

        chosen: what to select, in no order; None: all columns, in order
        dayless: only rows without a day
        group: what `chosen` is grouped by
        """
        where, values = [], {"code": code, "codes": list(self.codes), "since": self.since}
        if code is not None:
            where.append(f"{_quote(self.entity)} = %(code)s")
        elif self.codes:
            where.append(f"{_quote(self.entity)} = any(%(codes)s)")
        first, until = days or (None, None)
        first = max(filter(None, (first, self.since)), default=None)
        if first:
            where.append(f"{_quote(self.day)} >= %(first)s")
        if until:
            where.append(f"{_quote(self.day)} < %(until)s")
        if dayless:
            where.append(f"{_quote(self.day)} is null")
        # chunks are by time: a trading day is within a day of UTC around it
        if self.relation and self.day == "trade_date" and "bar_end" in self.columns:
            if first:
                where.append(
                    "bar_end >= %(first)s::timestamp at time zone 'UTC' - interval '1 day'"
                )
            if until:
                where.append("bar_end < %(until)s::timestamp at time zone 'UTC' + interval '1 day'")
        values |= {"first": first, "until": until}
        names = chosen or ", ".join(map(_quote, self.columns))
        order = "" if chosen else f" order by {', '.join(map(_quote, self.order))}"
        order = f" group by {group}" if group else order
        condition = f" where {' and '.join(where)}" if where else ""
        return f"select {names} from {self.rows}{condition}{order}", values


def find_source(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    wanted: Definition,
    *,
    query: str | None = None,
) -> Source:
    """The rows that a definition names.

    query: in place of its table

    Raises UsageError for a table, a code or a column that is not there, and for a wrong query.
    """
    relation = ""
    if query is not None or wanted.is_query:
        name = "query" if wanted.is_query else wanted.what.rpartition(".")[2]
        rows = f"(\n{(query or wanted.what).strip().rstrip(';')}\n) as q"
    else:
        relation = _find_relation(conn, warehouse.market_schema, wanted)
        name, rows = relation.partition(".")[2], relation
    rows = rows.replace("%", "%%")
    with explaining():  # with a parameter the server takes one statement
        columns = conn.execute(f"select * from {rows} limit %s".encode(), (0,)).description or []
    names = [column.name for column in columns]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise UsageError(
            f"two columns are named {doubled[0]}", hint=f"Rename one: {doubled[0]} as other_name."
        )
    dates = [column.name for column in columns if column.type_code == _DATE]
    day = next((name for name in DAYS if name in dates), None)
    entity = next((name for name in ENTITIES if name in names), None)
    if wanted.codes and entity is None:
        raise UsageError(f"{name} has no code column", hint="Leave out --codes.")
    if wanted.since and day is None:
        raise UsageError(f"{name} has no date column", hint="Leave out --since.")
    sortable = [column.name for column in columns if column.type_code not in _UNORDERED]
    order = dict.fromkeys([*filter(None, (day, entity)), *sortable])
    codes = wanted.codes
    if codes and entity == "code":
        codes = tuple(s.code for s in find_securities(conn, warehouse.market_schema, codes))
    return Source(
        name,
        relation,
        warehouse.market_schema,
        rows,
        {column.name: column.type_display for column in columns},
        tuple(order),
        day,
        entity,
        codes,
        wanted.since,
        wanted.is_exact,
    )


def _find_relation(conn: psycopg.Connection, market: str, wanted: Definition) -> str:
    if not _NAME.fullmatch(wanted.what):
        raise UsageError(
            f"{wanted.what} is neither a table nor a query",
            hint="Write a table such as kline_daily.",
        )
    schema, _, name = wanted.what.rpartition(".")
    schema = schema or market
    if wanted.adjust != "none":
        name = f"{name.removesuffix('_raw')}_{wanted.adjust}"
    elif not has_relation(conn, f"{schema}.{name}") and has_relation(conn, f"{schema}.{name}_raw"):
        name += "_raw"
    if not has_relation(conn, f"{schema}.{name}"):
        query = (
            "select relname from pg_class where relnamespace = to_regnamespace(%s) "
            "and relkind in ('r', 'p', 'v', 'm')"
        )
        known = [other for (other,) in conn.execute(query, (schema,))]
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"Choose a similar one: {', '.join(near)}." if near else "Run `quotemill build`."
        raise UsageError(f"there is no table {schema}.{name}", hint=hint)
    return f"{schema}.{name}"


@contextlib.contextmanager
def explaining() -> Iterator[None]:
    """Errors of a query as UsageError: it is the user's. A refusal has its own explanation."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
        raise
    except psycopg.Error as error:
        text = error.diag.message_primary or str(error)
        raise UsageError(f"the query cannot be read: {text}", hint="") from None


def list_days(first: date, until: date) -> Iterator[tuple[date, date]]:
    """Each day with the one after it."""
    while first < until:
        yield first, first + timedelta(days=1)
        first += timedelta(days=1)


def _quote(name: str | None) -> str:
    assert name is not None
    return sql.Identifier(name).as_string().replace("%", "%%")
