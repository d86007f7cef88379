"""Days of landed tables that are older than their `retain` in the dbt project's YAML, dropped.

Chunks of a hypertable that ended before go as a whole, days of a plain table by their index. The
models that outlive a table (`outlives` in their meta) must have read it first, in every market
schema of the database: what lands of old days is rolled up before it goes. The change feed does not
name days that are dropped, as what was built of them stays.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg import sql

from loaders.settings import Settings
from loaders.warehouse import timescale
from loaders.warehouse.distribution import is_distributed
from orchestration.run.build import invoke
from quotemill.errors import SettingsError
from quotemill.warehouse.dbt_project import find_project
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

# A reader with a cursor that does not see a change of the table; in another market schema the
# models of the same names, while it is built.
_UNREAD = """
    select r.reader
    from (
        select unnest(%(readers)s::text[]) as reader
        union
        select schema_name || '.' || relation_name from ops.managed_relation
        where
            relation_name = any(%(names)s)
            and schema_name || '.' || relation_name in (select reader from ops.change_cursors)
            and to_regclass(format('%%I.%%I', schema_name, relation_name)) is not null
    ) as r
    left join ops.change_cursors as s
        on r.reader = s.reader and to_regclass(r.reader) is not null
    where exists (
        select 1 from ops.changes as c
        where c.table_name = %(table)s and pg_visible_in_snapshot(c.xid, s.seen) is not true
    )
    order by 1
"""
_RETAIN = re.compile(rb"""\bretain["']?\s*[:=]""")
_TIME_TYPE = """
    select column_type::text from timescaledb_information.dimensions
    where dimension_number = 1 and hypertable_schema || '.' || hypertable_name = %s
"""


@dataclass(frozen=True)
class RetainedTable:
    """A landed table or model with a `retain`.

    name: schema and table
    day: the column of days, or that of time
    age: the interval after which a day is dropped
    readers: the models that must have read it where it is a plain table
    aggregates: those that must have where it is a hypertable with continuous aggregates
    """

    name: str
    day: str
    age: str
    readers: tuple[str, ...]
    aggregates: tuple[str, ...]


@dataclass(frozen=True)
class OldDays:
    """The days of a table before `before`: dropped, or staying until `unread` have read them."""

    table: str
    before: date
    unread: tuple[str, ...] = ()


def is_retain_set() -> bool:
    """Whether a file of the dbt project names a `retain`; to read it by dbt takes seconds."""
    folder = find_project().dbt
    files = [folder / "dbt_project.yml", *(folder / "models").rglob("*.[ys][mq]l")]
    return any(_RETAIN.search(path.read_bytes()) for path in files)


def find_retained_tables(settings: Settings, warehouse: Warehouse) -> list[RetainedTable]:
    """Parse the dbt project and list its tables with a `retain`."""
    outcome = invoke(settings, warehouse, ["--no-write-json", "parse"], quiet=True)
    return list_retained_tables(outcome.result)


def list_retained_tables(manifest: Any) -> list[RetainedTable]:
    """List the tables with a `retain` in dbt's manifest, by name."""
    models = [node for node in manifest.nodes.values() if node.resource_type == "model"]
    tables = []
    for node in [*manifest.sources.values(), *models]:
        wanted = (node.config.meta or {}).get("hypertable") or {}
        if "retain" not in wanted:
            continue
        table = f"{node.schema}.{getattr(node, 'identifier', None) or node.alias}"
        outliving = [m for m in models if (m.config.meta or {}).get("outlives") == table]
        tables.append(
            RetainedTable(
                table,
                "trade_date" if "trade_date" in node.columns else wanted["time"],
                wanted["retain"],
                _names(m for m in outliving if table in m.config.meta.get("follows", ())),
                _names(
                    m
                    for m in outliving
                    if table == m.config.meta.get("continuous", {}).get("of")
                    or table in m.config.meta.get("follows", ())
                ),
            )
        )
    return sorted(tables, key=lambda table: table.name)


def drop_old_days(
    warehouse: Warehouse, tables: Sequence[RetainedTable], as_of: datetime, *, dry_run: bool
) -> list[OldDays]:
    """Drop the days of each table that are older than its `retain`; none where no day is so old.

    Raises SettingsError for a table that Citus distributes.
    """
    results = []
    for table in tables:
        with warehouse.connect() as conn:
            dropped = _drop_of_table(conn, table, as_of, dry_run=dry_run)
            results += [dropped] if dropped else []
    return results


def _drop_of_table(
    conn: psycopg.Connection, table: RetainedTable, as_of: datetime, *, dry_run: bool
) -> OldDays | None:
    if not has_relation(conn, table.name):
        return None
    if is_distributed(conn, table.name):
        raise SettingsError(
            f"retain of {table.name}: days of a table that Citus distributes cannot be dropped",
            hint="Remove it from the YAML, and delete old days by hand.",
        )
    if not dry_run:  # what lands meanwhile would go unread
        name = sql.Identifier(*table.name.split("."))
        conn.execute(sql.SQL("lock table {} in share row exclusive mode").format(name))
    [(before,)] = conn.execute(
        "select (%s::timestamp - %s::interval)::date",
        (as_of.astimezone(UTC).replace(tzinfo=None), table.age),
    ).fetchall()
    edition = timescale.find(conn).edition
    readers, rows, drop = table.readers, "{0} where {1} < {2}", "delete from {0} where {1} < {2}"
    kind = edition != "none" and conn.execute(_TIME_TYPE, (table.name,)).fetchone()
    if kind:
        chunks = f"({{3}}, older_than => {{2}}::{kind[0]})"
        rows, drop = f"show_chunks{chunks}", f"select drop_chunks{chunks}"
        readers = table.aggregates if edition == "tsl" else readers

    def execute(statement: str) -> psycopg.Cursor:
        return conn.execute(
            sql.SQL(statement).format(
                sql.Identifier(*table.name.split(".")),
                sql.Identifier(table.day),
                sql.Literal(f"{before} 00:00+00"),
                sql.Literal(table.name),
            )
        )

    if not execute(f"select 1 from {rows} limit 1").fetchone():
        return None
    names = [reader.partition(".")[2] for reader in readers]
    unread = conn.execute(
        _UNREAD, {"readers": list(readers), "names": names, "table": table.name}
    ).fetchall()
    if not unread and not dry_run:
        execute(drop)
    return OldDays(table.name, before, tuple(reader for (reader,) in unread))


def _names(models: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted(f"{model.schema}.{model.alias}" for model in models))
