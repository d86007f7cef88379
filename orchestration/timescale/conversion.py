"""A plain table becomes a hypertable, and a hypertable or continuous aggregate a plain table.

Each in one transaction that compares the rows before and after: an interruption or a difference
leaves the old table as it was. Views that read the table stay what they are.
"""

import contextlib
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import sql

from loaders.warehouse.hypertables import make_hypertable
from loaders.warehouse.sql_files import read_sql
from orchestration.timescale.table_content import Content, content
from quotemill.errors import LockHeldError, QuotemillError, SettingsError, UpstreamError

_PATIENCE = "30s"  # for users of the table: all later readers wait behind us


def to_hypertable(
    conn: psycopg.Connection, table: sql.Identifier, time: str, chunk: str
) -> Content:
    """Make a hypertable of a plain table, whose rows move into chunks.

    `chunk` is the SQL of an interval. Raises LockHeldError where others use the table,
    SettingsError where it cannot be a hypertable (its key lacks the time column), UpstreamError
    where the server ended the session, QuotemillError where the rows differ afterwards.
    """
    with unchanged(conn, table) as before:
        conn.execute(make_hypertable(conn, table, time, chunk))
    return before[0]


def to_plain(conn: psycopg.Connection, table: sql.Identifier, key: Sequence[str]) -> Content:
    """Make a plain table of a hypertable or continuous aggregate, which gets the primary `key`.

    Raises what to_hypertable does, SettingsError too where the table has policies, triggers or
    publications.
    """
    with unchanged(conn, table) as before:
        if _kind(conn, table) == "v":
            _replace(conn, table, "materialized view")
            names = sql.SQL(", ").join(map(sql.Identifier, key))
            conn.execute(sql.SQL("alter table {} add primary key ({})").format(table, names))
        else:
            _replace(conn, table, "table")
    return before[0]


@contextlib.contextmanager
def unchanged(conn: psycopg.Connection, table: sql.Identifier) -> Iterator[list[Content]]:
    """A transaction with the table locked, rolled back where its rows differ at the end."""
    before: list[Content] = []
    name = table.as_string(None)
    try:
        with conn.transaction():
            conn.execute(sql.SQL("set local lock_timeout = {}").format(_PATIENCE))
            conn.execute(sql.SQL("lock table {} in access exclusive mode").format(table))
            before.append(content(conn, table))
            yield before
            after = content(conn, table)
            if after != before[0]:
                raise QuotemillError(
                    f"{name} held {before[0]} before and {after} after: it was not changed",
                    hint="Report this bug.",
                )
    except psycopg.errors.LockNotAvailable:
        raise LockHeldError(
            f"{name} is in use, and was not changed",
            hint="Run again when no load, build or long query reads it.",
        ) from None
    except psycopg.OperationalError as error:
        if conn.closed:
            raise
        message = f"{name} was not changed: {_message(conn, error)}"
        again = "Run the command again. Converted parts are kept."
        if isinstance(error, psycopg.errors.OutOfMemory):
            raise SettingsError(
                message,
                hint=f"Raise the server's max_locks_per_transaction and restart it. {again}",
            ) from None
        raise UpstreamError(message, hint=again) from None
    except psycopg.DatabaseError as error:
        raise SettingsError(
            f"{name} cannot be converted, and was not changed: {_message(conn, error)}",
            hint="Drop or change what the message names, then run again.",
        ) from None


def _replace(conn: psycopg.Connection, table: sql.Identifier, old: str) -> None:
    """Replace `table` by a plain one with its rows, keys, statistics, owner, grants and readers.

    `old` is the kind of the replaced one, as DROP names it.
    """
    schema, name = table._obj  # psycopg keeps the parts there
    new, gone = sql.Identifier(schema, f"{name}__new"), sql.Identifier(schema, f"{name}__old")
    [(oid,)] = conn.execute("select %s::regclass::oid", (table.as_string(None),))
    # definitions then name the schema of each relation
    conn.execute("set local search_path = ''")
    views = conn.execute(_query("dependent_views"), {"oid": oid}).fetchall()
    for kind, view, *_ in views:
        if kind != "v":
            raise SettingsError(
                f"the materialized view {view} reads {table.as_string(None)}",
                hint="Drop it, run again, then make it again.",
            )
    lost = [what for (what,) in conn.execute(_query("obstacles"), {"oid": oid})]
    if lost:
        raise SettingsError(
            f"{table.as_string(None)} has what a new table would lack: {', '.join(lost)}",
            hint="Drop it, run again, then make it again.",
        )
    carried = conn.execute(
        _query("carried_statements"), {"oid": oid, "table": table.as_string(None)}
    ).fetchall()
    references = conn.execute(_query("references"), {"oid": oid}).fetchall()
    conn.execute(
        sql.SQL(
            "create table {} (like {} including defaults including generated including storage "
            "including comments including constraints)"
        ).format(new, table)
    )
    conn.execute(sql.SQL("insert into {} select * from {}").format(new, table))
    rename = sql.SQL("alter {} {} rename to {}")
    conn.execute(rename.format(sql.SQL(old), table, sql.Identifier(gone._obj[1])))
    conn.execute(rename.format(sql.SQL("table"), new, sql.Identifier(name)))
    for _, view, options, definition in views:
        clause = f" with ({options})" if options else ""
        conn.execute(f"create or replace view {view}{clause} as {definition}".encode())
    for (statement,) in references:
        conn.execute(statement.encode())
    conn.execute(sql.SQL("drop {} {}").format(sql.SQL(old), gone))
    for (statement,) in carried:
        conn.execute(statement.encode())


def _message(conn: psycopg.Connection, error: psycopg.Error) -> str:
    """The server's own message, without the password."""
    text, password = str(error).strip(), conn.info.password
    return text.replace(password, "***") if password else text


def _kind(conn: psycopg.Connection, table: sql.Identifier) -> str:
    [(kind,)] = conn.execute(
        "select relkind::text from pg_class where oid = %s::regclass", (table.as_string(None),)
    )
    return str(kind)


def _query(name: str) -> bytes:
    return read_sql("orchestration.timescale.queries", name).encode()
