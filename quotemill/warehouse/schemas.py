"""The names of a warehouse's schemas, and whether a relation is there and has rows."""

import psycopg
from psycopg import sql

from quotemill.errors import SettingsError

# that builds make, beside the market's
INNER_SCHEMAS = ("options", "futures", "qa", "quotemill_staging", "quotemill_intermediate")
# of views in the shapes of other programs, made on request
COMPAT = "compat"
# every schema of ours but the one that users name by the setting market_schema
FIXED_SCHEMAS = frozenset({"ops", "raw_tdx", "raw_ib", "raw_tq", "ticks", COMPAT, *INNER_SCHEMAS})
# with what is put before it for an inner schema, PostgreSQL keeps 63 letters
LONGEST_NAME = 63 - len("quotemill_intermediate_")


def check_market_schema(name: str, origin: str) -> None:
    """Raises SettingsError where `market_schema` would meet a schema of ours or of PostgreSQL's."""
    if name in FIXED_SCHEMAS or name.startswith("pg_") or name == "information_schema":
        raise SettingsError(
            f"setting market_schema ({origin}): {name} is taken by "
            + ("quotemill itself" if name in FIXED_SCHEMAS else "PostgreSQL"),
            hint="Choose another name, such as quotemill_market.",
        )
    if len(name.encode()) > LONGEST_NAME:
        raise SettingsError(
            f"setting market_schema ({origin}): longer than {LONGEST_NAME} characters",
            hint="Choose a shorter name, such as quotemill_market.",
        )


def has_relation(conn: psycopg.Connection, name: str) -> bool:
    """Whether there is a table or view of this qualified name."""
    [(is_there,)] = conn.execute("select to_regclass(%s) is not null", (name,))
    return bool(is_there)


def may_read(conn: psycopg.Connection, schema: str, name: str) -> bool:
    """Whether there is a table or view of this name, and the role may read it."""
    query = """
        select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
        from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
        where (n.nspname, c.relname) = (%s, %s)
    """
    return conn.execute(query, (schema, name)).fetchone() == (True,)


def has_rows(conn: psycopg.Connection, schema: str, name: str) -> bool:
    """Whether a table has a row."""
    query = sql.SQL("select 1 from {} limit 1").format(sql.Identifier(schema, name))
    return conn.execute(query).fetchone() is not None
