"""Rules for settings beyond their own forms: an address, a schema, rules of the schedule."""

from loaders.settings import Settings
from orchestration.schedule import jobs
from quotemill.warehouse.address import parse_address
from quotemill.warehouse.schemas import check_market_schema


def check_settings(settings: Settings) -> None:
    """Raises SettingsError for settings that no command could work with."""
    if settings.warehouse_url is not None:
        address = settings.warehouse_url.get_secret_value()
        parse_address(address, settings.origin("warehouse_url"))
    check_market_schema(settings.market_schema, settings.origin("market_schema"))
    jobs.read_jobs(settings)
