"""Checks of `quotemill doctor` about this source."""

from collections.abc import Iterator
from datetime import datetime

from loaders.check import Check, check_paths
from loaders.settings import Settings
from quotemill.warehouse.postgres import Warehouse


def check_setup(settings: Settings, _: Warehouse | None, __: datetime) -> Iterator[Check]:
    """Check what a load needs besides the gateway."""
    return check_paths([("ib.universe", settings.ib.universe, "a CSV file")])
