"""Opening the warehouse of the settings, whose embedded server is started if need be."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from loaders.settings import Settings
from loaders.warehouse import editions
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.migration_files import VersionedConnection, refuse_outdated
from quotemill.errors import SettingsError
from quotemill.warehouse.address import build_address, label_address, parse_address
from quotemill.warehouse.opening import (
    allow_embedded,
    build_embedded,
    explain_missing,
    name_warehouse,
    refuse_pooler,
)
from quotemill.warehouse.postgres import READERS_WAIT, Warehouse
from quotemill.warehouse.schemas import check_market_schema

OLDEST = 15  # PostgreSQL's major version


def open_warehouse(settings: Settings, *, start: bool = True) -> Warehouse:
    """The warehouse that the settings name, running and of a supported version (15 or newer).

    The embedded server is started if need be. With start=False no server is started or spoken to.
    Raises SettingsError (exit 3) for a bad URL, an old server, an old TimescaleDB or one beside
    Citus, UpstreamError (4) when it is down.
    """
    check_market_schema(settings.market_schema, settings.origin("market_schema"))
    if settings.warehouse_url is None:
        allow_embedded(settings)
        return _open_embedded(settings, start)
    warehouse = _complete(name_warehouse(settings), settings)
    if not start:
        return warehouse
    with warehouse.connect(autocommit=True) as connection:
        info = connection.info
        if info.server_version < OLDEST * 10000:
            major = info.server_version // 10000
            raise SettingsError(
                f"the warehouse {warehouse.label} is PostgreSQL {major}, but quotemill "
                f"needs {OLDEST} or newer",
                hint=f"Set {warehouse.origin} to a newer server, or remove it to use the "
                "embedded one.",
            )
        refuse_pooler(warehouse, connection)
        editions.describe(connection)  # which may refuse it
        # what libpq took from ~/.pgpass, PG* variables or its defaults must reach dlt and dbt too
        used = {"host": info.host, "port": str(info.port), "user": info.user}
        used |= {"dbname": info.dbname, "password": info.password}
    url = build_address({k: v for k, v in used.items() if v} | warehouse.params())
    label = label_address(parse_address(url, warehouse.origin))
    return replace(warehouse, url=url, label=label)


def find_warehouse(settings: Settings) -> Warehouse | None:
    """The warehouse for commands that only read; None where it would be a new server."""
    if settings.warehouse_url is None and not embedded.is_made(settings.home):
        allow_embedded(settings)
        return None
    return open_warehouse(settings)


def require_warehouse(settings: Settings) -> Warehouse:
    """The warehouse for a command that reads. Raises SettingsError before the first load."""
    warehouse = find_warehouse(settings)
    if warehouse is None:
        raise explain_missing(settings)
    return warehouse


def require_current_warehouse(settings: Settings) -> Warehouse:
    """As `require_warehouse`. Raises SettingsError if an older version made its tables."""
    warehouse = require_warehouse(settings)
    warehouse.ask(refuse_outdated, patient=False)
    return warehouse


def find_current_warehouse(settings: Settings) -> Warehouse | None:
    """The warehouse for commands that read what this version writes; None before the first load.

    Raises SettingsError if an older version made its tables.
    """
    with keep_current_warehouse(settings) as warehouse:
        return replace(warehouse, pool=None) if warehouse else None


@contextmanager
def keep_current_warehouse(settings: Settings) -> Iterator[Warehouse | None]:
    """As `find_current_warehouse`, and keep its connections until the end of the block."""
    named = find_warehouse(settings)
    reading = replace(named, lock_timeout=READERS_WAIT) if named else None
    with reading.keeping_connections() if reading else nullcontext() as warehouse:
        if warehouse is not None:
            warehouse.ask(refuse_outdated, patient=False)  # who looks gets an answer at once
        yield warehouse


def _open_embedded(settings: Settings, start: bool) -> Warehouse:
    home = settings.home

    def ensure_running() -> embedded.Server:
        return embedded.ensure_running(home, settings.server)

    if start:
        server = ensure_running()
        url, label = server.url, f"embedded PostgreSQL {server.major} ({server.socket_dir})"
    else:
        url, label = embedded.expected_url(home), ""
    restart = (lambda: ensure_running().url) if start else None
    warehouse = _complete(build_embedded(settings, url, restart, label), settings)
    return replace(warehouse, admits_reader=settings.server.address is not None)


def _complete(warehouse: Warehouse, settings: Settings) -> Warehouse:
    return replace(warehouse, history=settings.history.tables, connection=VersionedConnection)
