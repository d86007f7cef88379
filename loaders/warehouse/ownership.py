"""The schemas of a warehouse that are ours, and what we may do there.

A warehouse may hold its user's own tables, even in a schema named `market`. A schema is claimed
once, while it holds no relation or does not exist; `ops.owned_schema` is the record of it. Nothing
outside claimed schemas is ever written. What users later add to a claimed schema stays theirs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from loaders.warehouse.turns import wait_for_turn
from quotemill.errors import SettingsError
from quotemill.warehouse.schemas import FIXED_SCHEMAS

_SHOWN = 20  # relations named in a refusal
_KINDS = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized view",
    "S": "sequence",
    "f": "foreign table",
}


@dataclass(frozen=True)
class Privilege:
    """A privilege that the connected role needs; `fix` is the statement that grants it."""

    name: str
    held: bool
    fix: str


def claim_schemas(conn: psycopg.Connection, schemas: Iterable[str]) -> None:
    """Make sure that every schema exists and is ours; all of them or none.

    A second call changes nothing. Processes doing so at once wait for each other until their
    transactions end. Needs CREATE on the database, or empty schemas in which the role has CREATE.
    Raises SettingsError that lists foreign relations.
    """
    wanted = list(dict.fromkeys(["ops", *schemas]))
    with conn.transaction():
        wait_for_turn(conn, "quotemill:ownership")
        owned = owned_schemas(conn)
        if foreign := foreign_relations(conn, wanted):
            raise _refusal(foreign)
        for name in wanted:
            if not _exists(conn, name):
                conn.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
        if "ops" not in owned:
            conn.execute(
                "create table if not exists ops.owned_schema ("
                "schema_name text primary key, claimed_at timestamptz not null default now())"
            )
        for name in wanted:
            if name not in owned:
                conn.execute(
                    "insert into ops.owned_schema (schema_name) values (%s) on conflict do nothing",
                    (name,),
                )


def owned_schemas(conn: psycopg.Connection) -> set[str]:
    """Schemas that were claimed here. `ops` is ours where the record exists."""
    row = conn.execute(
        "select has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT') "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = 'ops' and c.relname = 'owned_schema'"
    ).fetchone()
    if row is None:
        return set()
    if not row[0]:
        role = _role(conn)
        raise SettingsError(
            f"the role {role} may not read ops.owned_schema",
            hint="Use the role that created it, or run: grant usage on schema ops to "
            f"{role}; grant select, insert on ops.owned_schema to {role}",
        )
    return {"ops"} | {name for (name,) in conn.execute("select schema_name from ops.owned_schema")}


def foreign_relations(conn: psycopg.Connection, schemas: Iterable[str]) -> dict[str, list[str]]:
    """The relations of each schema that was never claimed here."""
    owned = owned_schemas(conn)
    return {
        name: relations
        for name in schemas
        if name not in owned and (relations := _relations(conn, name))
    }


def privileges(conn: psycopg.Connection, reader_role: str | None = None) -> list[Privilege]:
    """The privileges that loads and builds need, held or not."""
    role = _role(conn)
    database = conn.info.dbname
    quoted = _quote(conn, database)
    may_create, may_temp = _fetch_row(
        conn,
        "select has_database_privilege(current_database(), 'CREATE'), "
        "has_database_privilege(current_database(), 'TEMPORARY')",
    )
    owned = sorted(owned_schemas(conn))
    # schemas made in advance do as well: CREATE on the database is needed while one is missing
    needs_create = not owned or any(not _exists(conn, name) for name in owned)
    grants = [(f"temporary tables in {database}", may_temp, "temporary on database " + quoted)]
    if needs_create or may_create:
        grants.append((f"create schemas in {database}", may_create, "create on database " + quoted))
    for name in owned:
        if _exists(conn, name):
            usage = f"usage, create on schema {_quote(conn, name)}"
            grants.append((f"create relations in {name}", _may_create_in(conn, name), usage))
    others = conn.execute(
        "select pg_get_userbyid(c.relowner), count(*) from pg_class c join pg_namespace n on "
        "n.oid = c.relnamespace where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v', 'm') "
        "and not pg_has_role(c.relowner, 'USAGE') group by 1 order by 1",
        (owned,),
    ).fetchall()
    for owner, count in others:
        what = f"change {count} relations owned by {owner} in quotemill's schemas"
        grants.append((what, False, _quote(conn, owner)))
    needed = [Privilege(what, held, f"grant {grant} to {role}") for what, held, grant in grants]
    if reader_role:
        exists = has_role(conn, reader_role)
        fix = f"create role {_quote(conn, reader_role)}"
        needed.append(Privilege(f"the reader role {reader_role} exists", exists, fix))
    return needed


def has_role(conn: psycopg.Connection, name: str) -> bool:
    return bool(
        _fetch_row(conn, "select exists (select 1 from pg_roles where rolname = %s)", name)[0]
    )


def _refusal(foreign: dict[str, list[str]]) -> SettingsError:
    lines = []
    for schema, relations in foreign.items():
        more = f" and {len(relations) - _SHOWN} more" if len(relations) > _SHOWN else ""
        lines.append(f"  {schema}: {', '.join(relations[:_SHOWN])}{more}")
    hints = []
    if any(schema not in FIXED_SCHEMAS for schema in foreign):
        hints.append("Choose another name: QUOTEMILL_MARKET_SCHEMA=quotemill_market")
    if any(schema in FIXED_SCHEMAS for schema in foreign):
        hints.append("Use another database: QUOTEMILL_WAREHOUSE_URL=postgresql://…/another")
    return SettingsError(
        "the warehouse has schemas with relations that quotemill did not create, "
        "so nothing was changed:\n" + "\n".join(lines),
        hint="; ".join(hints),
    )


def _relations(conn: psycopg.Connection, schema: str) -> list[str]:
    """Tables, views and sequences, with their kind.

    Without those of extensions and the sequences that belong to a column.
    """
    rows = conn.execute(
        "select c.relname, c.relkind::text from pg_class c join pg_namespace n on n.oid = "
        "c.relnamespace where n.nspname = %s and c.relkind::text = any(%s) and not exists ( "
        "select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid  "
        "and (d.deptype = 'e' or c.relkind = 'S' and d.deptype in ('a', 'i'))) order by 1",
        (schema, list(_KINDS)),
    )
    return [f"{name} ({_KINDS[kind]})" for name, kind in rows]


def _may_create_in(conn: psycopg.Connection, schema: str) -> bool:
    query = "select has_schema_privilege(%s, 'USAGE') and has_schema_privilege(%s, 'CREATE')"
    return bool(_fetch_row(conn, query, schema, schema)[0])


def _exists(conn: psycopg.Connection, schema: str) -> bool:
    query = "select exists (select 1 from pg_namespace where nspname = %s)"
    return bool(_fetch_row(conn, query, schema)[0])


def _role(conn: psycopg.Connection) -> str:
    return str(_fetch_row(conn, "select quote_ident(current_user)")[0])


def _quote(conn: psycopg.Connection, name: str) -> str:
    return str(_fetch_row(conn, "select quote_ident(%s)", name)[0])


def _fetch_row(conn: psycopg.Connection, query: str, *values: object) -> tuple[Any, ...]:
    [row] = conn.execute(query.encode(), values or None)
    return row
