"""A plain table becomes a hypertable, and a hypertable or continuous aggregate a plain table.

Each in one transaction that compares the rows before and after: who breaks off, or finds a
difference, leaves the old table as it was. Views that read the table stay what they are.
"""

import contextlib
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import sql

from loaders.errors import LockHeldError, QuotemillError, SettingsError
from loaders.warehouse.content import Content, content
from loaders.warehouse.hypertables import make_hypertable

_PATIENCE = "30s"  # for who reads or writes the table: all later readers wait behind us
_VIEWS = """
    select distinct
        c.relkind::text,
        format('%%I.%%I', n.nspname, c.relname),
        array_to_string(c.reloptions, ', '),
        pg_get_viewdef(c.oid)
    from pg_depend as d
    inner join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    inner join pg_class as c on w.ev_class = c.oid
    inner join pg_namespace as n on c.relnamespace = n.oid
    where d.refclassid = 'pg_class'::regclass and d.refobjid = %(oid)s and c.oid <> %(oid)s
"""
_CARRIED = """
    select format('alter table %%s add constraint %%I %%s', %(table)s::text, conname, pg_get_constraintdef(oid))
    from pg_constraint where conrelid = %(oid)s and contype in ('p', 'u')
    union all
    select pg_get_indexdef(i.indexrelid)
    from pg_index as i
    where i.indrelid = %(oid)s
        and not exists (select 1 from pg_constraint as c where c.conindid = i.indexrelid)
    union all
    select format('grant %%s on %%s to %%s', g.privilege_type, %(table)s::text, case g.grantee
        when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end)
    from pg_class as c, aclexplode(c.relacl) as g
    where c.oid = %(oid)s and g.grantee <> c.relowner
    union all
    select format('comment on table %%s is %%L', %(table)s::text, obj_description(%(oid)s, 'pg_class'))
    where obj_description(%(oid)s, 'pg_class') is not null
"""


def to_hypertable(
    conn: psycopg.Connection, table: sql.Identifier, time: str, chunk: str
) -> Content:
    """Make a hypertable of a plain table, whose rows move into chunks. `chunk` is the SQL of an interval.

    Raises LockHeldError where others hold on to the table, SettingsError where it cannot be one (its
    key lacks the time column), QuotemillError where the rows differ afterwards.
    """
    with _unchanged(conn, table) as found:
        conn.execute(make_hypertable(conn, table, time, chunk))
    return found[0]


def to_plain(conn: psycopg.Connection, table: sql.Identifier, key: Sequence[str]) -> Content:
    """Make a plain table of a hypertable, or of a continuous aggregate, which gets the primary `key`.

    Raises what to_hypertable does.
    """
    with _unchanged(conn, table) as found:
        if _kind(conn, table) == "v":
            _replace(conn, table, "materialized view")
            names = sql.SQL(", ").join(map(sql.Identifier, key))
            conn.execute(sql.SQL("alter table {} add primary key ({})").format(table, names))
        else:
            _replace(conn, table, "table")
    return found[0]


@contextlib.contextmanager
def _unchanged(conn: psycopg.Connection, table: sql.Identifier) -> Iterator[list[Content]]:
    """A transaction with the table locked, which is rolled back where its rows are others at the end."""
    found: list[Content] = []
    name = table.as_string(None)
    try:
        with conn.transaction():
            conn.execute(sql.SQL("set local lock_timeout = {}").format(_PATIENCE))
            conn.execute(sql.SQL("lock table {} in access exclusive mode").format(table))
            found.append(content(conn, table))
            yield found
            after = content(conn, table)
            if after != found[0]:
                raise QuotemillError(
                    f"{name} held {found[0]} before and {after} after: it was left as it was",
                    hint="please report it",
                )
    except psycopg.errors.LockNotAvailable:
        raise LockHeldError(
            f"{name} is in use, and was left as it was",
            hint="run again when no load, build or long query reads it",
        ) from None
    except psycopg.OperationalError:
        raise
    except psycopg.DatabaseError as error:
        raise SettingsError(
            f"{name} cannot be converted, and was left as it was: {str(error).strip()}",
            hint="what stands in the way goes, or is changed, first; then run again",
        ) from None


def _replace(conn: psycopg.Connection, table: sql.Identifier, old: str) -> None:
    """Put a new plain table with the same rows, keys, grants and readers in the place of `table`. `old`
    says what DROP calls the one that goes."""
    schema, name = table._obj  # psycopg keeps the parts there
    new, gone = sql.Identifier(schema, f"{name}__new"), sql.Identifier(schema, f"{name}__old")
    [(oid,)] = conn.execute("select %s::regclass::oid", (table.as_string(None),))
    # definitions then name the schema of each relation
    conn.execute("set local search_path = ''")
    views = conn.execute(_VIEWS, {"oid": oid}).fetchall()
    for kind, view, *_ in views:
        if kind != "v":
            raise SettingsError(
                f"the materialized view {view} reads {table.as_string(None)}",
                hint="drop it, run again, then make it again",
            )
    carried = conn.execute(_CARRIED, {"oid": oid, "table": table.as_string(None)}).fetchall()
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
        given = f" with ({options})" if options else ""
        conn.execute(f"create or replace view {view}{given} as {definition}".encode())
    conn.execute(sql.SQL("drop {} {}").format(sql.SQL(old), gone))
    for (statement,) in carried:
        conn.execute(statement.encode())


def _kind(conn: psycopg.Connection, table: sql.Identifier) -> str:
    [(kind,)] = conn.execute(
        "select relkind::text from pg_class where oid = %s::regclass", (table.as_string(None),)
    )
    return str(kind)
