"""Checks of `quotemill doctor`: settings, files and holidays of this source."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from loaders.check import Check, check_holidays, check_paths
from loaders.settings import Settings
from loaders.tdx.settings import NO_EVENTS_FIX
from quotemill.warehouse.postgres import Warehouse


def check_setup(settings: Settings, _: Warehouse | None, now: datetime) -> Iterator[Check]:
    """Check the prerequisites of a load other than the service."""
    tdx = settings.tdx
    if tdx.actions_source is None:
        yield Check(
            "settings",
            "warn",
            "no source of corporate actions: adjusted prices are the same as raw prices",
            NO_EVENTS_FIX,
        )
    actions = tdx.corporate_actions if isinstance(tdx.corporate_actions, Path) else None
    yield from check_paths(
        [("tdx.corporate_actions", actions, "a CSV file or a folder of CSV files")]
    )
    yield check_holidays(now)
