"""What the benches of all sources share: a quiet reporter, and queries of the warehouse."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from loaders.engine.load import Load
from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.loads import run_load
from loaders.settings import Settings, load_settings
from loaders.warehouse import migrate
from loaders.warehouse.postgres import open_warehouse
from loaders.warehouse.tables import LandedTable
from quotemill.warehouse.connections import connect
from quotemill.warehouse.postgres import Warehouse


@dataclass
class Heard(Silent):
    """Keeps the lines of a load's progress, and what held its keys."""

    lines: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)

    def line(self, text: str) -> None:
        self.lines.append(text)

    def hold(self, text: str) -> None:
        self.holds.append(text)


def warehouse_url(settings: Settings) -> str:
    """The address in the settings of a test, which all have one."""
    assert settings.warehouse_url is not None
    return settings.warehouse_url.get_secret_value()


class WarehouseQueries:
    """Queries of the warehouse of `settings`."""

    settings: Settings

    def connect(self) -> psycopg.Connection:
        return connect(warehouse_url(self.settings))

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connect() as conn:
            return conn.execute(query.encode(), values or None).fetchall()

    def execute(self, statement: str) -> None:
        with self.connect() as conn:
            conn.execute(statement.encode())


class LoadBench(WarehouseQueries):
    """A warehouse, and loads into it."""

    heard: Silent

    def run(
        self,
        source: str,
        *,
        as_of: datetime | None = None,
        retry: bool = False,
        on_start: Callable[[Load], None] = lambda _: None,
        **request: Any,
    ) -> LoadResult:
        """Load with this request, at a moment or now."""
        asked = LoadRequest(source, **request)
        return run_load(
            self.settings, asked, self.heard, as_of=as_of, retry=retry, on_start=on_start
        )


def settings_at(
    dsn: str, home: Path, environ: Mapping[str, str] | None = None, **more: Any
) -> Settings:
    """The settings of a home whose warehouse is the database at `dsn`."""
    own = {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(home)}
    return load_settings(own | dict(environ or {}), cwd=home, **more)


def prepared_warehouse(dsn: str, home: Path, tables: Iterable[LandedTable]) -> Warehouse:
    """The warehouse in a database, with these empty landed tables and schema ops."""
    warehouse = open_warehouse(settings_at(dsn, home))
    migrate.prepare(warehouse, tables)
    return warehouse


def put_build(
    conn: psycopg.Connection,
    command: str,
    at: datetime | None = None,
    *,
    exit_code: int | None = None,
    seconds: int = 0,
    error: str | None = None,
    figures: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Record a build that began at a time, now by default; it runs if it has no exit code."""
    conn.execute(
        "insert into ops.runs (run_id, build_id, command, fingerprint, started_at, finished_at, "
        "exit_code, error, figures) select 'build-' || n, n, %(command)s, '', at, "
        "case when %(code)s::integer is not null then at + %(took)s end, %(code)s, %(error)s, "
        "%(figures)s from (select coalesce(max(build_id), 0) + 1 as n, "
        "coalesce(%(at)s, clock_timestamp()) as at from ops.runs) as next",
        {
            "command": command,
            "at": at,
            "code": exit_code,
            "took": timedelta(seconds=seconds),
            "error": error,
            "figures": Jsonb(dict(figures)),
        },
    )
