"""A plain table becomes a hypertable, and a hypertable or continuous aggregate a plain table.

Each in one transaction that compares the rows before and after: who breaks off, or finds a
difference, leaves the old table as it was. Views that read the table stay what they are.
"""

import contextlib
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import sql

from loaders.errors import LockHeldError, QuotemillError, SettingsError, UpstreamError
from loaders.warehouse.hypertables import make_hypertable
from loaders.warehouse.postgres import NO_TIMEOUTS
from orchestration.timescale.table_content import Content, content

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
        and not exists (
            select 1 from pg_constraint as c where c.conindid = i.indexrelid and c.contype <> 'f'
        )
    union all
    select format('alter table %%s add constraint %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    from pg_constraint
    where contype = 'f' and conparentid = 0 and %(oid)s in (conrelid, confrelid)
    union all
    select pg_get_statisticsobjdef(oid) from pg_statistic_ext where stxrelid = %(oid)s
    union all
    select format('alter statistics %%I.%%I set statistics %%s', stxnamespace::regnamespace, stxname, stxstattarget)
    from pg_statistic_ext where stxrelid = %(oid)s and stxstattarget >= 0
    union all
    select format('alter table %%s set (%%s)', %(table)s::text, string_agg(format(
        '%%s%%s=%%L', o.prefix, split_part(o.given, '=', 1), substr(o.given, strpos(o.given, '=') + 1)
    ), ', '))
    from (
        select '' as prefix, unnest(reloptions) as given from pg_class
        where oid = %(oid)s and relkind = 'r'
        union all
        select 'toast.', unnest(t.reloptions) from pg_class as c
        inner join pg_class as t on c.reltoastrelid = t.oid where c.oid = %(oid)s
    ) as o
    having count(*) > 0
    union all
    select format('grant %%s%%s on %%s to %%s%%s', g.privilege_type, '(' || quote_ident(a.attname) || ')',
        %(table)s::text, case g.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
        case when g.is_grantable then ' with grant option' end)
    from pg_class as c
    cross join lateral (
        select null as attname, c.relacl as acl
        union all
        select attname, attacl from pg_attribute where attrelid = c.oid and not attisdropped
    ) as a
    cross join lateral aclexplode(a.acl) as g
    where c.oid = %(oid)s and g.grantee <> c.relowner
    union all
    select format('comment on table %%s is %%L', %(table)s::text, obj_description(%(oid)s, 'pg_class'))
    where obj_description(%(oid)s, 'pg_class') is not null
    union all
    select format('alter table %%s owner to %%I', %(table)s::text, pg_get_userbyid(relowner))
    from pg_class where oid = %(oid)s and pg_get_userbyid(relowner) <> current_user
"""
_REFERENCES = """
    select format('alter table %%s drop constraint %%I', conrelid::regclass, conname)
    from pg_constraint
    where contype = 'f' and conparentid = 0 and confrelid = %(oid)s and conrelid <> %(oid)s
"""
_STANDS_IN_THE_WAY = """
    select 'row-level security' from pg_class where oid = %(oid)s and relrowsecurity
    union all
    select 'the policy ' || quote_ident(polname) from pg_policy where polrelid = %(oid)s
    union all
    select 'the trigger ' || quote_ident(t.tgname)
    from pg_trigger as t
    where t.tgrelid = %(oid)s and not t.tgisinternal and not exists (
        select 1 from pg_depend as d
        inner join pg_extension as e on d.refobjid = e.oid and d.refclassid = 'pg_extension'::regclass
        where d.classid = 'pg_proc'::regclass and d.objid = t.tgfoid and e.extname = 'timescaledb'
    )
    union all
    select 'the publication ' || quote_ident(p.pubname)
    from pg_publication_rel as r
    inner join pg_publication as p on r.prpubid = p.oid
    where r.prrelid = %(oid)s
"""


def to_hypertable(
    conn: psycopg.Connection, table: sql.Identifier, time: str, chunk: str
) -> Content:
    """Make a hypertable of a plain table, whose rows move into chunks. `chunk` is the SQL of an interval.

    Raises LockHeldError where others hold on to the table, SettingsError where it cannot be one (its
    key lacks the time column), UpstreamError where the server broke off, QuotemillError where the rows
    differ afterwards.
    """
    with _unchanged(conn, table) as found:
        conn.execute(make_hypertable(conn, table, time, chunk))
    return found[0]


def to_plain(conn: psycopg.Connection, table: sql.Identifier, key: Sequence[str]) -> Content:
    """Make a plain table of a hypertable, or of a continuous aggregate, which gets the primary `key`.

    Raises what to_hypertable does, SettingsError too where the table has policies, triggers or
    publications.
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
    """A transaction with the table locked, which is rolled back where its rows are others at the end.
    The session has no timeouts from then on."""
    found: list[Content] = []
    name = table.as_string(None)
    try:
        with conn.transaction():
            conn.execute(NO_TIMEOUTS)
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
    except psycopg.OperationalError as error:
        if conn.closed:
            raise
        message = f"{name} was left as it was: {_said(conn, error)}"
        again = "run again; what was converted stays"
        if isinstance(error, psycopg.errors.OutOfMemory):
            raise SettingsError(
                message,
                hint=f"raise the server's max_locks_per_transaction, restart it, and {again}",
            ) from None
        raise UpstreamError(message, hint=again) from None
    except psycopg.DatabaseError as error:
        raise SettingsError(
            f"{name} cannot be converted, and was left as it was: {_said(conn, error)}",
            hint="what stands in the way goes, or is changed, first; then run again",
        ) from None


def _replace(conn: psycopg.Connection, table: sql.Identifier, old: str) -> None:
    """Put a new plain table with the same rows, keys, statistics, owner, grants and readers in the place
    of `table`. `old` says what DROP calls the one that goes."""
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
    lost = [what for (what,) in conn.execute(_STANDS_IN_THE_WAY, {"oid": oid})]
    if lost:
        raise SettingsError(
            f"{table.as_string(None)} has what a new table would lack: {', '.join(lost)}",
            hint="drop it, run again, then make it again",
        )
    carried = conn.execute(_CARRIED, {"oid": oid, "table": table.as_string(None)}).fetchall()
    references = conn.execute(_REFERENCES, {"oid": oid}).fetchall()
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
    for (statement,) in references:
        conn.execute(statement.encode())
    conn.execute(sql.SQL("drop {} {}").format(sql.SQL(old), gone))
    for (statement,) in carried:
        conn.execute(statement.encode())


def _said(conn: psycopg.Connection, error: psycopg.Error) -> str:
    """The server's own message, without the password."""
    text, password = str(error).strip(), conn.info.password
    return text.replace(password, "***") if password else text


def _kind(conn: psycopg.Connection, table: sql.Identifier) -> str:
    [(kind,)] = conn.execute(
        "select relkind::text from pg_class where oid = %s::regclass", (table.as_string(None),)
    )
    return str(kind)
