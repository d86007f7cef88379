"""Refusals of the warehouse to its role, as an error with the grant that is in the way.

A server tells in its own language what it refuses. Only names are the same in every one: what
they name, and which privilege is missing, is in the catalogue.
"""

import re

from quotemill.errors import SettingsError, sqlstate, walk_causes
from quotemill.settings.model import TopSettings

DENIED, READ_ONLY, CANCELLED = "42501", "25006", "57014"  # PostgreSQL's codes of errors
_SHOWN = 3  # objects of one name
# an ASCII word, also between the characters of a language without blanks; no part of `für`
_NAME = re.compile(r"(?<![\w$])(?<![À-ɏ])[A-Za-z_][\w$]*(?![À-ɏ])", re.ASCII)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")  # a role's name that needs no quotes
_GRANTS = """
with named as (select unnest(%s::text[]) as name),

objects as (
    select
        'schema ' || quote_ident(n.nspname) as object,
        n.nspowner as owner,
        case when not has_schema_privilege(n.oid, 'usage') then 'usage, create'
            when not has_schema_privilege(n.oid, 'create') then 'create' end as missing
    from pg_namespace as n
    inner join named on n.nspname = named.name
    union all
    select
        'database ' || quote_ident(d.datname),
        null,
        case when not has_database_privilege(d.oid, 'create') then 'create' end
    from pg_database as d
    inner join named on d.datname = named.name
    where d.datname = current_database()
    union all
    select
        case c.relkind when 'S' then 'sequence ' else '' end || c.oid::regclass,
        c.relowner,
        case when c.relkind = 'S'
            then case when not has_sequence_privilege(c.oid, 'usage') then 'usage' end
            when not has_table_privilege(c.oid, 'select') then 'select'
            when c.relkind in ('r', 'p') and not has_table_privilege(c.oid, 'insert')
            then 'select, insert, update, delete' end
    from pg_class as c
    inner join named on c.relname = named.name
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select
        'function ' || p.oid::regprocedure,
        p.proowner,
        case when not has_function_privilege(p.oid, 'execute') then 'execute' end
    from pg_proc as p
    inner join named on p.proname = named.name
)

select
    'grant ' || o.missing || ' on ' || o.object || ' to ' || quote_ident(current_user),
    'grant ' || quote_ident(r.rolname) || ' to ' || quote_ident(current_user)
from objects as o
left join pg_roles as r
    on o.owner = r.oid and not r.rolsuper and not pg_has_role(r.oid, 'usage')
where o.missing is not null or r.rolname is not null
order by o.object
"""


def explain_refusal(error: BaseException, settings: TopSettings | None) -> SettingsError | None:
    """The refusal among the causes of an error, if any."""
    refusals = (c for c in walk_causes(error) if sqlstate(c) in (DENIED, READ_ONLY, CANCELLED))
    if (cause := next(refusals, None)) is None:
        return None
    url = settings.warehouse_url.get_secret_value() if settings and settings.warehouse_url else None
    reason, role = str(cause).strip().partition("\n")[0], _role(url)
    if sqlstate(cause) == CANCELLED:
        return SettingsError(
            f"the warehouse ended the work: {reason}", hint="somebody cancelled it; run again"
        )
    if sqlstate(cause) == READ_ONLY:
        return SettingsError(
            f"the warehouse takes no writes: {reason}",
            hint="name the primary server in QUOTEMILL_WAREHOUSE_URL, or: "
            f"alter role {role} set default_transaction_read_only = off",
        )
    return SettingsError(
        f"the role {role} may not do this in the warehouse: {reason}",
        hint=f"as the owner: {_find_grants(url, reason) or f'grant its role to {role}'}; loads and "
        "builds need the role that made the tables, and `quotemill doctor` lists what it lacks",
    )


def _find_grants(url: str | None, reason: str) -> str:
    """The statements that grant what a refusal names; empty where that cannot be found."""
    if url is None:
        return ""
    import psycopg

    from quotemill.warehouse.connections import connect

    try:
        with connect(url) as conn:
            rows = conn.execute(_GRANTS, (_NAME.findall(reason),)).fetchall()
    except psycopg.Error:
        return ""
    # the owner's role where every privilege is held: what was refused is the owner's alone
    return "; ".join(dict.fromkeys(grant or owners for grant, owners in rows[:_SHOWN]))


def _role(url: str | None) -> str:
    if url is None:
        return "current_user"
    from psycopg.conninfo import conninfo_to_dict

    return name_role(conninfo_to_dict(url).get("user"))


def name_role(user: object) -> str:
    """A role as statements name it; current_user where an address names none."""
    if not user:
        return "current_user"
    text = str(user)
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '""') + '"'
