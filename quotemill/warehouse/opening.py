"""The warehouse that the settings name, open for readers."""

import warnings
from collections.abc import Callable
from functools import partial

import psycopg

from quotemill import installation
from quotemill.errors import SettingsError
from quotemill.settings.model import TopSettings
from quotemill.systems import require_posix
from quotemill.warehouse import embedded
from quotemill.warehouse.address import label_address, parse_address
from quotemill.warehouse.connections import find_process
from quotemill.warehouse.migrations import applied, explain_newer
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import check_market_schema


def open_warehouse(settings: TopSettings) -> Warehouse:
    """The warehouse, which has answered; an embedded server is started if need be.

    Raises SettingsError before the first load and for a wrong address, UpstreamError while the
    server is down.
    """
    check_market_schema(settings.market_schema, settings.origin("market_schema"))
    if settings.warehouse_url is not None:
        warehouse = name_warehouse(settings)
    else:
        allow_embedded(settings)
        home = settings.home
        if not embedded.is_made(home):
            raise explain_missing(settings)
        url = embedded.find_running(home) or embedded.start_server(home)
        warehouse = build_embedded(settings, url, partial(embedded.start_server, home))
    with warehouse.connect(autocommit=True) as conn:
        refuse_pooler(warehouse, conn)
        if newer := explain_newer(applied(conn)):
            warnings.warn(f"{newer}. {newer.hint}", stacklevel=1)
    return warehouse


def refuse_pooler(warehouse: Warehouse, conn: psycopg.Connection) -> None:
    """Raises SettingsError for a pooler that keeps no sessions: locks and settings are of one.

    conn: commits each statement
    """
    if find_process(conn) == conn.info.backend_pid:
        return
    with warehouse.connect(autocommit=True) as other:  # a pooler tells a number of its own
        pairs = [(find_process(conn), find_process(other)) for _ in range(3)]
    if len(set(pairs)) > 1 or pairs[0][0] == pairs[0][1]:
        raise SettingsError(
            f"the warehouse {warehouse.label} is behind a pooler that keeps no sessions",
            hint=f"Use the server's own port ({warehouse.origin}), or set pool_mode=session and, "
            "for plain dbt, ignore_startup_parameters=options in the pooler.",
        )


def name_warehouse(settings: TopSettings) -> Warehouse:
    """The warehouse of `warehouse_url`, which must be set. Raises SettingsError for a wrong one."""
    assert settings.warehouse_url is not None
    origin, url = settings.origin("warehouse_url"), settings.warehouse_url.get_secret_value()
    return Warehouse(
        url=url,
        origin=origin,
        embedded=False,
        market_schema=settings.market_schema,
        reader_role=settings.reader_role,
        label=label_address(parse_address(url, origin)),
        home=settings.home,
    )


def build_embedded(
    settings: TopSettings, url: str, start: Callable[[], str] | None, label: str = ""
) -> Warehouse:
    """The warehouse of the home's own server.

    start: starts it and returns its URL; None: it is left down
    label: where more is known of it than the home
    """
    return Warehouse(
        url=url,
        origin="default: embedded server",
        embedded=True,
        market_schema=settings.market_schema,
        reader_role=settings.reader_role,
        label=label or f"embedded PostgreSQL ({settings.home})",
        home=settings.home,
        start=start,
    )


def allow_embedded(settings: TopSettings) -> None:
    """Raises SettingsError where the settings or the system refuse the embedded server."""
    require_posix("the embedded server", "set QUOTEMILL_WAREHOUSE_URL to a PostgreSQL server")
    if not settings.embedded_server:
        raise SettingsError(
            "no warehouse is configured, and the embedded server is disabled "
            f"({settings.origin('embedded_server')})",
            hint="Set QUOTEMILL_WAREHOUSE_URL=postgresql://user:password@host:5432/database.",
        )


def explain_missing(settings: TopSettings) -> SettingsError:
    """The error of a command that reads before the first load."""
    if not installation.has_commands():
        return SettingsError(
            "no warehouse is configured, and this installation only reads",
            hint="Pass a URL to quotemill.open(url=…), set QUOTEMILL_WAREHOUSE_URL, or create a "
            f"warehouse here: {installation.install_hint('all')}.",
        )
    return SettingsError(
        f"no warehouse yet in {settings.home} ({settings.origin('home')})",
        hint="Run `quotemill run` to create it, after `quotemill init` if no source is configured,"
        " or set QUOTEMILL_HOME=/absolute/path to another home.",
    )
