"""Which tick store the settings name."""

from urllib.parse import unquote, urlsplit

from loaders.errors import SettingsError
from loaders.settings import Settings
from loaders.ticks.questdb import server
from loaders.ticks.questdb.http import StoreAway
from loaders.ticks.questdb.server import Address
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.questdb.warehouse_mark import mark_of
from loaders.ticks.store import TickStore
from loaders.warehouse.postgres import Warehouse

LOCAL = "local"


def open_store(settings: Settings, warehouse: Warehouse) -> TickStore:
    """QuestDB where `questdb_url` is set, else the warehouse itself. Speaks to nobody yet.

    Raises SettingsError for an address that is none, StoreError for a local server that is not up.
    """
    if settings.questdb_url is None:
        from loaders.ticks.postgres import PostgresStore

        return PostgresStore(warehouse, settings.questdb.min_free_gb)
    return open_questdb(settings, warehouse)


def described(settings: Settings) -> str:
    """Which store it is, for people: no secret. Speaks to nobody. Raises SettingsError."""
    if settings.questdb_url is None:
        return "the warehouse"
    url = settings.questdb_url.get_secret_value()
    if url == LOCAL:
        return f"the QuestDB of {settings.home}"
    return f"QuestDB at {_address(url, settings.origin('questdb_url')).url}"


def open_questdb(settings: Settings, warehouse: Warehouse | None = None) -> QuestdbStore:
    """The store that `questdb_url` names, which must be set; it must serve `warehouse`, if given."""
    assert settings.questdb_url is not None
    url = settings.questdb_url.get_secret_value()
    if url == LOCAL:
        local_address(settings)
        where = lambda: local_address(settings)  # noqa: E731
    else:
        address = _address(url, settings.origin("questdb_url"))
        where = lambda: address  # noqa: E731
    return QuestdbStore(
        where,
        settings.questdb,
        label=described(settings),
        mark=(lambda: mark_of(warehouse, settings.home)) if warehouse else None,
    )


def local_address(settings: Settings) -> Address:
    """Of the server of this QUOTEMILL_HOME. Raises StoreError where it is not running."""
    address = server.running(server.folder_of(settings.home))
    if address is None:
        raise StoreAway(
            f"the QuestDB of {settings.home} is not running", hint="quotemill questdb start"
        )
    return address


def _address(url: str, origin: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port beyond 65535, an open bracket
        raise _no_address(origin) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_address(origin)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        f"{parts.scheme}://{host}:{port or 9000}",
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


def _no_address(origin: str) -> SettingsError:
    return SettingsError(
        f"setting questdb_url ({origin}) is not the address of a QuestDB",
        hint="http://user:password@host:9000 with special characters in the password as %XX, or local",
    )
