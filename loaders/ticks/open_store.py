"""The tick store that the settings name."""

from loaders.settings import Settings
from loaders.ticks.questdb import server
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.questdb.warehouse_mark import mark_of
from loaders.ticks.store import TickStore
from quotemill.ticks.questdb_http import LOCAL, Address, explain_down, parse_address
from quotemill.warehouse.postgres import Warehouse


def open_store(settings: Settings, warehouse: Warehouse, *, start: bool = False) -> TickStore:
    """QuestDB where `questdb_url` is set, else the warehouse itself.

    Not connected yet. `start`: start the server of this home if it is not up.

    Raises SettingsError for an unusable address, and without Java for a start; UpstreamError for a
    server that does not start; StoreError for a local one that is not up.
    """
    if settings.questdb_url is None:
        from loaders.ticks.postgres import PostgresStore

        return PostgresStore(warehouse, settings.questdb.min_free_gb)
    if start and settings.questdb_url.get_secret_value() == LOCAL:
        server.start(server.server_folder(settings.home), settings.questdb)
    return open_questdb(settings, warehouse)


def store_label(settings: Settings) -> str:
    """The store's name for people, without a secret. Raises SettingsError."""
    if settings.questdb_url is None:
        return "the warehouse"
    url = settings.questdb_url.get_secret_value()
    if url == LOCAL:
        return f"the QuestDB of {settings.home}"
    return f"QuestDB at {parse_address(url, settings.origin('questdb_url')).url}"


def open_questdb(settings: Settings, warehouse: Warehouse | None = None) -> QuestdbStore:
    """The store of `questdb_url`, which must be set; `warehouse`: the one to serve."""
    assert settings.questdb_url is not None
    url, origin = settings.questdb_url.get_secret_value(), settings.origin("questdb_url")

    def address() -> Address:
        return local_address(settings) if url == LOCAL else parse_address(url, origin)

    address()  # an error shows before anything is done
    return QuestdbStore(
        address,
        settings.questdb,
        label=store_label(settings),
        mark=(lambda: mark_of(warehouse, settings.home)) if warehouse else None,
    )


def local_address(settings: Settings) -> Address:
    """The server of this QUOTEMILL_HOME. Raises StoreError where it is not running."""
    address = server.find_running(server.server_folder(settings.home))
    if address is None:
        raise explain_down(settings.home)
    return address
