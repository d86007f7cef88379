"""Tables of the old versions of corrected rows, beside the landed tables that the settings name.

`raw_tdx.kline_daily_history` has the columns of `raw_tdx.kline_daily` and `known_until`: when what
replaced the row was fetched. A version was known from its `fetched_at` until then.
"""

from collections.abc import Collection, Iterable

import psycopg
from psycopg import sql

from loaders.warehouse.tables import LandedTable
from quotemill.errors import SettingsError
from quotemill.warehouse.history import KEY, KNOWN_UNTIL, SUFFIX


def find_kept_tables(wanted: Collection[str], tables: Iterable[LandedTable]) -> list[LandedTable]:
    """The tables of `history.keep`. Raises SettingsError for a name that is no landed table."""
    known = {table.qualified: table for table in tables}
    for name in sorted(wanted):
        if name not in known:
            raise SettingsError(
                f"setting history.keep: there is no landed table {name}",
                hint=f"Choose from: {', '.join(sorted(known))}.",
            )
    return [known[name] for name in sorted(wanted)]


def prepare_history(
    conn: psycopg.Connection, wanted: Collection[str], tables: Iterable[LandedTable]
) -> None:
    """Make the tables of what is `wanted`, and forget since when others were.

    Raises SettingsError for a name that is no landed table.
    """
    for table in find_kept_tables(wanted, tables):
        _make_table(conn, table)
    conn.execute(
        "delete from ops.settings where starts_with(key, %s) and key <> all(%s)",
        (KEY, [KEY + name for name in wanted]),
    )
    for name in wanted:
        conn.execute(
            "insert into ops.settings values (%s, now()::text) on conflict do nothing",
            (KEY + name,),
        )


def _make_table(conn: psycopg.Connection, table: LandedTable) -> None:
    source = sql.Identifier(table.dataset, table.name)
    name = sql.Identifier(table.dataset, table.name + SUFFIX)
    present = conn.execute("select to_regclass(%s)", (table.qualified + SUFFIX,)).fetchone()
    if present == (None,):
        names = {"name": name, "source": source, "until": sql.Identifier(KNOWN_UNTIL)}
        statement = "create table {name} (like {source}, {until} timestamptz not null)"
        conn.execute(sql.SQL(statement).format(**names))
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        conn.execute(sql.SQL("create index on {} ({})").format(name, key))
        return
    lacking = conn.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute as a "
        "where a.attrelid = %(source)s::regclass and a.attnum > 0 and not a.attisdropped "
        "and not exists (select 1 from pg_attribute as h where h.attrelid = %(name)s::regclass "
        "and h.attname = a.attname)",
        {"source": table.qualified, "name": table.qualified + SUFFIX},
    ).fetchall()
    for column, kind in lacking:
        conn.execute(
            sql.SQL("alter table {} add column {} {}").format(
                name, sql.Identifier(column), sql.SQL(kind)
            )
        )
