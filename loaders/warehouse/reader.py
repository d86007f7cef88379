"""The role that reads at the address `server.listen`: its password and its grants.

The password is made here and stays in the home, in a file that its owner alone can read. The server
gets what SCRAM makes of it, so that none of its logs can have it.
"""

import re
import secrets
from pathlib import Path

import psycopg
from psycopg import sql

from loaders.files import whole_file
from loaders.warehouse.embedded.access import READER
from loaders.warehouse.ownership import owned_schemas
from loaders.warehouse.turns import wait_for_turn
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import COMPAT

PASSWORD = "reader.password"  # in a home
_BYTES = 32  # of chance in it
READABLE = ("options", "futures", "qa", COMPAT)  # inner schemas, beside the market's


def admit_reader(warehouse: Warehouse) -> str:
    """Make the role, let it read the tables that are for readers; its password.

    With nothing to do it changes no grant of a relation. Relations that builds make later get the
    grant as they are made. Raises SettingsError where the home cannot hold the password.
    """
    with warehouse.connect() as conn:
        wait_for_turn(conn, "quotemill:reader")
        password = _make_role(conn, warehouse.home)
        readable = {warehouse.market_schema, *map(warehouse.inner_schema, READABLE)}
        for schema in sorted(readable & owned_schemas(conn)):
            _grant(conn, schema)
    return password


def _make_role(conn: psycopg.Connection, home: Path) -> str:
    password = _read_password(home)
    verifier = conn.pgconn.encrypt_password(password.encode(), READER.encode(), b"scram-sha-256")
    is_there = conn.execute("select 1 from pg_roles where rolname = %s", (READER,)).fetchone()
    statement = (
        "{} role {} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password {}"
    )
    conn.execute(
        sql.SQL(statement).format(
            sql.SQL("alter" if is_there else "create"),
            sql.Identifier(READER),
            sql.Literal(verifier.decode()),
        )
    )
    _close_to_others(conn)
    return password


def _close_to_others(conn: psycopg.Connection) -> None:
    """Take from everybody what a reader has no use for and could do harm with.

    PostgreSQL lets each role that may connect make temporary tables and large objects, which fill
    the disk, and hold advisory locks.
    """
    [(database, may_fill)] = conn.execute(
        "select current_database(), has_database_privilege(%s, current_database(), 'temporary')",
        (READER,),
    )
    if may_fill:
        statement = "revoke temporary on database {} from public"
        conn.execute(sql.SQL(statement).format(sql.Identifier(database)))
    functions = conn.execute(
        "select oid::regprocedure::text from pg_proc where pronamespace = "
        "'pg_catalog'::regnamespace and (proname ~ '^lo_|^pg_.*advisory' or proname in ('loread', "
        "'lowrite')) and has_function_privilege(%s, oid, 'execute')",
        (READER,),
    ).fetchall()
    if functions:
        names = ", ".join(name for (name,) in functions)
        conn.execute(f"revoke execute on function {names} from public".encode())


def _read_password(home: Path) -> str:
    path = home / PASSWORD
    try:
        stored = path.read_text().strip()
    except FileNotFoundError:
        stored = ""
    if re.fullmatch(r"[\w-]{43}", stored):  # else a part, that a crash of other programs left
        return stored
    password = secrets.token_urlsafe(_BYTES)
    with whole_file.explain_unwritable(path, hint="Set `home` to a folder of this user."):
        whole_file.write(path, f"{password}\n", mode=0o600)
    return password


def _grant(conn: psycopg.Connection, schema: str) -> None:
    """Grant what is not granted yet: a grant changes a row, which a build may be changing."""
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(READER)}
    may_use = "select has_schema_privilege(%s, %s, 'usage')"
    if conn.execute(may_use, (READER, schema)).fetchone() != (True,):
        conn.execute(sql.SQL("grant usage on schema {schema} to {role}").format(**names))
    # of later relations; no build changes this row
    statement = "alter default privileges in schema {schema} grant select on tables to {role}"
    conn.execute(sql.SQL(statement).format(**names))
    closed = conn.execute(
        "select relname from pg_class where relnamespace = %(schema)s::regnamespace "
        "and relkind in ('r', 'p', 'v', 'm', 'f') "
        "and not has_table_privilege(%(role)s, oid, 'select') order by 1",
        {"role": READER, "schema": schema},
    ).fetchall()
    for (relation,) in closed:
        statement = "grant select on {schema}.{relation} to {role}"
        conn.execute(sql.SQL(statement).format(relation=sql.Identifier(relation), **names))
