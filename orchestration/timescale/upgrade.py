"""Existing plain tables become hypertables, and back: a backup first, then table by table.

`meta.hypertable` of models and sources declares the hypertables; those with a setting are meant to
be plain while it is off.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from loaders import sources
from loaders.settings import Settings
from loaders.warehouse import timescale
from loaders.warehouse.hypertables import TableName, list_hypertables
from loaders.warehouse.ownership import owned_schemas
from orchestration.archive.alone import alone
from orchestration.backup import dump
from orchestration.run.build import invoke
from orchestration.timescale import conversion
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class Declared(TableName):
    """A table that may be a hypertable, or a continuous aggregate, which has no `time`.

    is_wanted: whether it is meant to be a hypertable
    """

    time: str | None
    chunk: str
    key: tuple[str, ...]
    is_wanted: bool = True


BECOMES = {"hypertable": "a hypertable", "plain": "a plain table"}


@dataclass(frozen=True)
class Table:
    """A table to convert, or converted.

    rows: an estimate until it was converted
    becomes: `hypertable` or `plain`
    hash: of its rows, the same before and after
    """

    name: str
    rows: int
    size_bytes: int
    becomes: str
    hash: int | None = None
    seconds: float | None = None

    @property
    def about(self) -> str:
        """Its size in words; with rows only where the server has counted them."""
        rows = f"about {self.rows:,} rows, " if self.rows else ""
        return f"{rows}{_mb(self.size_bytes)}, becomes {BECOMES[self.becomes]}"


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion.

    tables: those that were, or with a dry run would be, converted
    left: those that needed none
    """

    edition: str
    backup: Path | None
    tables: tuple[Table, ...]
    left: tuple[str, ...]
    dry_run: bool

    def as_json(self) -> dict[str, Any]:
        # a hash has more digits than JavaScript's numbers
        tables = [
            asdict(t) | {"hash": None if t.hash is None else str(t.hash)} for t in self.tables
        ]
        return asdict(self) | {"backup": self.backup and str(self.backup), "tables": tables}


def declared(settings: Settings, warehouse: Warehouse) -> list[Declared]:
    """Every table that the dbt project wants as a hypertable or a continuous aggregate, by name."""
    outcome = invoke(settings, warehouse, ["--no-write-json", "parse"], quiet=True)
    stored = sources.dbt_settings(settings)
    tables = []
    for source in outcome.result.sources.values():
        wanted = (source.config.meta or {}).get("hypertable")
        if wanted:
            tables.append(_declared(source.schema, source.identifier, wanted, (), stored))
    for node in outcome.result.nodes.values():
        if node.resource_type != "model":
            continue
        wanted = (node.config.meta or {}).get("hypertable")
        unique = node.config.unique_key or ()
        key = (unique,) if isinstance(unique, str) else tuple(unique)
        if node.config.materialized == "continuous_aggregate":
            tables.append(Declared(node.schema, node.alias, None, "", key))
        elif wanted:
            tables.append(_declared(node.schema, node.alias, wanted, key, stored))
    return sorted(tables, key=lambda table: table.qualified)


def convert(
    settings: Settings,
    warehouse: Warehouse,
    tables: list[Declared],
    report: Callable[[str], None],
    *,
    to_plain: bool = False,
    file: Path | None = None,
    dry_run: bool = False,
) -> Conversion:
    """Make of `tables` the hypertables and plain tables they should be, after a backup to `file`.

    With `to_plain` it makes plain tables of all hypertables and continuous aggregates, with the
    rows that they hold by now. Raises SettingsError where the warehouse has no TimescaleDB, or a
    table cannot be one; what was converted before stays so.
    """
    edition = _edition(warehouse)
    if to_plain:  # what reads hypertables is converted before them
        tables = sorted(tables, key=lambda table: table.time is not None)
    else:
        tables = [table for table in tables if table.time]
    with alone(warehouse), warehouse.connect(autocommit=True) as conn:
        hyper = set(list_hypertables(conn, sorted(owned_schemas(conn))))
        stored = [(table, *_size(conn, table)) for table in tables if _exists(conn, table)]
        due, left = [], []
        for table, rows, size in stored:
            is_wanted = table.is_wanted and not to_plain
            if (table.qualified in hyper) == is_wanted:
                left.append(table.qualified)
            else:
                becomes = "hypertable" if is_wanted else "plain"
                due.append((table, Table(table.qualified, rows, size, becomes)))
        planned = tuple(plan for _, plan in due)
        if dry_run or not due:
            return Conversion(edition, None, planned, tuple(left), dry_run)
        verb = "rollback" if to_plain else "upgrade"
        backup = _back_up(settings, warehouse, file, verb, report)
        made = []
        for number, (table, plan) in enumerate(due, 1):
            report(f"{number} of {len(due)}: {table.qualified}, {plan.about}")
            started = datetime.now(UTC)
            if plan.becomes == "plain":
                content = conversion.to_plain(conn, table.identifier, table.key)
            else:
                content = conversion.to_hypertable(
                    conn, table.identifier, str(table.time), table.chunk
                )
            conn.execute(sql.SQL("analyze {}").format(table.identifier))
            seconds = (datetime.now(UTC) - started).total_seconds()
            made.append(
                replace(plan, rows=content.rows, hash=content.hash, seconds=round(seconds, 1))
            )
            report(f"{table.qualified}: {content.rows:,} rows, the same as before, {seconds:.0f} s")
    return Conversion(edition, backup, tuple(made), tuple(left), dry_run)


def _back_up(
    settings: Settings,
    warehouse: Warehouse,
    file: Path | None,
    verb: str,
    report: Callable[[str], None],
) -> Path:
    if file is None:
        folder = settings.home / "backups"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / f"before-{verb}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.dump"
    report(f"backup: {file}")
    written = dump.dump(warehouse, file)
    report(f"backup: {written.entries} objects, {_mb(written.size_bytes)}, read back")
    return written.path


def _edition(warehouse: Warehouse) -> str:
    with warehouse.connect() as conn:
        extension = timescale.find(conn)
    if extension.edition == "none":
        raise SettingsError(
            f"the warehouse {warehouse.label} has no TimescaleDB: its tables stay plain",
            hint="Run as a superuser in that database, if shared_preload_libraries has it: "
            "create extension timescaledb.",
        )
    return extension.edition


def _declared(
    schema: str,
    name: str,
    wanted: dict[str, Any],
    key: tuple[str, ...],
    settings: Mapping[str, str],
) -> Declared:
    chunk = sql.Literal(wanted["chunk"]).as_string(None)
    setting = wanted.get("setting")
    is_wanted = setting is None or settings.get(setting) == "true"
    return Declared(schema, name, wanted["time"], f"interval {chunk}", key, is_wanted)


def _exists(conn: psycopg.Connection, table: Declared) -> bool:
    [(exists,)] = conn.execute(
        "select to_regclass(%s) is not null", (table.identifier.as_string(None),)
    )
    return bool(exists)


def _size(conn: psycopg.Connection, table: Declared) -> tuple[int, int]:
    """An estimate of the rows, and bytes with indexes."""
    [size] = conn.execute(
        "with recursive parts as (select %s::regclass::oid as oid "
        "union all select i.inhrelid from parts as p inner join pg_inherits as i "
        "on p.oid = i.inhparent) "
        "select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint, "
        "coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint "
        "from parts as p inner join pg_class as c on p.oid = c.oid",
        (table.identifier.as_string(None),),
    )
    return size


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
