"""Bring a warehouse to what this version needs: our schemas, schema `ops`, every landed table.

Safe to call at the start of every command: with nothing to do it costs a few queries.
"""

import secrets
from collections.abc import Iterable, Mapping

import psycopg

from loaders.warehouse import distribution, hypertables, migration_files
from loaders.warehouse.history import prepare_history
from loaders.warehouse.ownership import claim_schemas, owned_schemas
from loaders.warehouse.tables import LandedTable, complete_tables, create_tables
from loaders.warehouse.turns import MIGRATE, wait_for_turn
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import COMPAT, FIXED_SCHEMAS, INNER_SCHEMAS


def prepare(
    warehouse: Warehouse, tables: Iterable[LandedTable], settings: Mapping[str, str] | None = None
) -> None:
    """Claim the schemas, migrate `ops`, create the landed tables. One transaction: all or nothing.

    `settings` are those that dbt reads from ops.settings, so that plain dbt has them too.
    Raises SettingsError if a newer version used the warehouse, or a schema holds relations that are
    not ours.
    """
    tables = list(tables)

    def work(conn: psycopg.Connection) -> None:
        # one at a time: two first runs side by side must not race to create the same objects
        wait_for_turn(conn, MIGRATE)
        claim_schemas(conn, schemas(warehouse, tables))
        migration_files.migrate(conn)
        _forget_dropped_schemas(conn)
        _forget_changes_of_another_cluster(conn)
        put_setting(conn, "reader_role", warehouse.reader_role)
        for key, value in (settings or {}).items():
            put_setting(conn, key, value)
        create_tables(conn, tables)
        prepare_history(conn, warehouse.history, tables)
        hypertables.make_of_empty(conn, tables)
        distribution.distribute_empty(conn, tables, warehouse.history)
        complete_tables(conn, tables)

    # a restore at the same moment may end it by a deadlock
    warehouse.ask(work, patient=False)


def schemas(warehouse: Warehouse, tables: Iterable[LandedTable]) -> list[str]:
    """The schemas that loads and builds need."""
    landed = dict.fromkeys(table.dataset for table in tables)
    inner = map(warehouse.inner_schema, INNER_SCHEMAS)
    return ["ops", *landed, *inner, warehouse.market_schema]


def warehouse_id(warehouse: Warehouse) -> str:
    """The random name that the warehouse got once."""
    with warehouse.connect() as conn:
        stored = "select value from ops.settings where key = 'warehouse_id'"
        rows = conn.execute(stored).fetchall() or conn.execute(
            "insert into ops.settings values ('warehouse_id', %s) "
            "on conflict (key) do update set value = ops.settings.value returning value",
            (secrets.token_hex(6),),
        )
        [(name,)] = rows
    return str(name)


def other_market_schemas(
    conn: psycopg.Connection, warehouse: Warehouse, tables: Iterable[LandedTable]
) -> list[str]:
    """Schemas of ours that belong to another market schema, or to an earlier name of it."""
    source_schemas = {name for name in FIXED_SCHEMAS if name not in INNER_SCHEMAS}
    ours = {*schemas(warehouse, tables), warehouse.inner_schema(COMPAT)}
    return sorted(owned_schemas(conn) - source_schemas - ours)


def _forget_dropped_schemas(conn: psycopg.Connection) -> None:
    """Delete the records of schemas of ours that somebody dropped."""
    conn.execute(
        """
        with gone as (
            delete from ops.owned_schema where to_regnamespace(quote_ident(schema_name)) is null
            returning schema_name
        ),
        relations as (
            delete from ops.managed_relation where schema_name in (select schema_name from gone)
        )
        delete from ops.change_cursors
        where split_part(reader, '.', 1) in (select schema_name from gone)
        """
    )


def _forget_changes_of_another_cluster(conn: psycopg.Connection) -> None:
    """Empty the feed in another cluster than the one that wrote it.

    It is ordered by transaction ids, which start again where a dump is restored. Without cursors
    the next build reads everything.
    """
    moved = conn.execute(
        "insert into ops.settings select 'cluster', system_identifier::text "
        "from pg_control_system() on conflict (key) do update set value = excluded.value "
        "where ops.settings.value is distinct from excluded.value"
    )
    if moved.rowcount:
        conn.execute("truncate ops.changes, ops.change_cursors")


def put_setting(conn: psycopg.Connection, key: str, value: str | None) -> None:
    """Write a value that dbt's models, or later loads, read from ops.settings."""
    conn.execute(
        "insert into ops.settings values (%s, %s) on conflict (key) do update "
        "set value = excluded.value where ops.settings.value is distinct from excluded.value",
        (key, value),
    )
