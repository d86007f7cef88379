"""Make and drop the views of schema `compat`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from loaders.warehouse.ownership import claim_schemas, has_role
from loaders.warehouse.reader import admit_reader
from loaders.warehouse.sql_files import read_sql
from loaders.warehouse.turns import wait_for_turn
from orchestration.exports.definition import ADJUSTMENTS
from quotemill.errors import UsageError
from quotemill.readers.listed import require_known
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import COMPAT, has_relation

# by the program that reads them; a view comes after those that it reads
VIEWS = {
    "vnpy": ("dbbardata", "dbtickdata", "dbbaroverview", "dbtickoverview"),
    "optopsy": ("optopsy_chain",),
}
_EXCHANGE = "case s.exchange when 'sh' then 'SSE' when 'sz' then 'SZSE' when 'bj' then 'BSE' end"
_PART = re.compile(r"^-- reads (.+)\n", re.MULTILINE)


@dataclass(frozen=True)
class View:
    """A view of a program.

    reads: the tables and views that it reads
    unbuilt: those that it will read once they are built and it is made again
    """

    name: str
    reads: tuple[str, ...]
    unbuilt: tuple[str, ...]

    @property
    def is_made(self) -> bool:
        return bool(self.reads)


def make_views(warehouse: Warehouse, program: str, adjust: str = "none") -> list[View]:
    """Make the views of a program, or make them again; all or none.

    adjust: of the bars of stocks and funds: none, qfq (forward), hfq (backward). Raises UsageError
    where nothing that they read is built, SettingsError where schema `compat` is not ours.
    """
    names = _find_views(program)
    require_known("--adjust", [adjust], ADJUSTMENTS)
    schema = warehouse.inner_schema(COMPAT)
    fields = {
        "market": warehouse.market_schema,
        "futures": warehouse.inner_schema("futures"),
        "options": warehouse.inner_schema("options"),
        "compat": schema,
        "adjusted": "" if adjust == "none" else f"_{adjust}",
        "minutes": "kline_minute_raw" if adjust == "none" else f"kline_minute_{adjust}",
        "exchange": _EXCHANGE,
    }
    with warehouse.connect() as conn:
        # one at a time; and it begins the transaction that a refusal undoes
        wait_for_turn(conn, "quotemill:compat")
        claim_schemas(conn, [schema])
        views = [_make_view(conn, f"{schema}.{name}", name, fields) for name in names]
        if not any(view.is_made for view in views):
            lacking = dict.fromkeys(name for view in views for name in view.unbuilt)
            raise UsageError(
                f"no table that the views of {program} read is built: {', '.join(lacking)}",
                hint="Run `quotemill build`.",
            )
        _grant(conn, schema, warehouse.reader_role, [view for view in views if view.is_made])
    if warehouse.admits_reader:
        admit_reader(warehouse)
    return views


def drop_views(warehouse: Warehouse, program: str) -> list[str]:
    """Drop the views of a program; the names of those that there were.

    Raises UsageError where another view reads one of them.
    """
    names, schema = _find_views(program), warehouse.inner_schema(COMPAT)
    with warehouse.connect() as conn:
        made = [name for name in names if has_relation(conn, f"{schema}.{name}")]
        for name in reversed(made):
            try:
                conn.execute(sql.SQL("drop view {}").format(sql.Identifier(schema, name)))
            except psycopg.errors.DependentObjectsStillExist as error:
                raise UsageError(
                    f"{schema}.{name} is read by others: {error.diag.message_detail}",
                    hint="Drop those first.",
                ) from None
    return [f"{schema}.{name}" for name in made]


def _find_views(program: str) -> tuple[str, ...]:
    require_known("program", [program], [*VIEWS])
    return VIEWS[program]


def _make_view(conn: psycopg.Connection, relation: str, name: str, fields: dict[str, str]) -> View:
    _, *parts = _PART.split(read_sql(__package__, name).format(**fields))
    selects: list[str] = []
    reads: list[str] = []
    unbuilt: list[str] = []
    for tables, select in zip(parts[::2], parts[1::2], strict=True):
        lacking = [table for table in tables.split() if not has_relation(conn, table)]
        unbuilt += lacking
        if not lacking:
            reads += tables.split()
            selects.append(select.strip())
    if selects:
        union = "\nunion all\n".join(selects)
        conn.execute(f"create or replace view {relation} as\n{union}".encode())
    return View(relation, tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(unbuilt)))


def _grant(conn: psycopg.Connection, schema: str, role: str | None, views: Sequence[View]) -> None:
    if role is None or not has_role(conn, role):
        return
    reader = sql.Identifier(role)
    conn.execute(sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(schema), reader))
    for view in views:
        name = sql.Identifier(*view.name.split("."))
        conn.execute(sql.SQL("grant select on {} to {}").format(name, reader))
