"""The tick store that the settings name: a QuestDB, by default that of this home."""

from loaders.settings import Settings
from loaders.ticks.questdb import server
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.questdb.warehouse_mark import mark_of
from quotemill.ticks.questdb_http import Address, explain_down, parse_address
from quotemill.warehouse.postgres import Warehouse


def open_store(
    settings: Settings, warehouse: Warehouse | None = None, *, start: bool = False
) -> QuestdbStore:
    """The store of `questdb_url`, not connected yet; `warehouse`: the one to serve.

    `start`: start the server of this home if it is not up. Raises SettingsError for an unusable
    address, and without Java for a start; UpstreamError for a server that does not start;
    StoreError for a local one that is not up.
    """
    if start and settings.has_own_questdb:
        server.start(server.server_folder(settings.home), settings.questdb)

    def address() -> Address:
        if settings.has_own_questdb:
            return local_address(settings)
        return parse_address(
            settings.questdb_url.get_secret_value(), settings.origin("questdb_url")
        )

    address()  # an error shows before anything is done
    return QuestdbStore(
        address,
        settings.questdb,
        label=store_label(settings),
        mark=(lambda: mark_of(warehouse, settings.home)) if warehouse else None,
    )


def store_label(settings: Settings) -> str:
    """The store's name for people, without a secret. Raises SettingsError."""
    if settings.has_own_questdb:
        return f"the QuestDB of {settings.home}"
    url = settings.questdb_url.get_secret_value()
    return f"QuestDB at {parse_address(url, settings.origin('questdb_url')).url}"


def local_address(settings: Settings) -> Address:
    """The server of this QUOTEMILL_HOME. Raises StoreError where it is not running."""
    address = server.find_running(server.server_folder(settings.home))
    if address is None:
        raise explain_down(settings.home)
    return address
