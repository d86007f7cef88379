"""Rules for settings beyond their own forms, by the checks of what uses them."""

from collections.abc import Mapping
from pathlib import Path

from loaders import sources
from loaders.settings import Settings
from orchestration.schedule import jobs
from quotemill.warehouse.address import parse_address
from quotemill.warehouse.schemas import check_market_schema

OF_A_DEMO = "# a demo has no settings of its own\n"  # the quotemill.toml of its home


def is_of_demo(home: Path) -> bool:
    """Whether a home is that of a demo, and nobody has given it settings."""
    file = home / "quotemill.toml"
    return file.is_file() and file.read_text("utf-8", "replace") == OF_A_DEMO


def check_new_settings(settings: Settings, values: Mapping[str, object]) -> None:
    """Raises SettingsError where a load would refuse a value that is about to be saved.

    A value that was saved before is not looked at: a disk may be away for a while.
    """
    check_settings(settings)
    names = {name for name, value in values.items() if value}
    for source in sources.MODULES:
        sources.find_operations(source).check_new(settings, names)


def check_settings(settings: Settings) -> None:
    """Raises SettingsError for settings that no command could work with."""
    if settings.warehouse_url is not None:
        address = settings.warehouse_url.get_secret_value()
        parse_address(address, settings.origin("warehouse_url"))
    check_market_schema(settings.market_schema, settings.origin("market_schema"))
    if not settings.has_own_questdb:
        from loaders.ticks.open_store import store_label  # takes long to import, as the next does

        store_label(settings)
    if settings.history.tables:
        from loaders.warehouse.history import find_kept_tables

        find_kept_tables(settings.history.tables, sources.landed_tables())
    jobs.read_jobs(settings)
