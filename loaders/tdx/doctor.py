"""Checks of `quotemill doctor`: settings, files and holidays of this source."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from loaders import trading_time
from loaders.engine.check import Check, check_paths
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
            "no source of corporate actions: adjusted prices equal raw ones",
            NO_EVENTS_FIX,
        )
    actions = tdx.corporate_actions if isinstance(tdx.corporate_actions, Path) else None
    yield from check_paths([("tdx.corporate_actions", actions, "a CSV file, or a folder of them")])
    if trading_time.ends_soon(now):
        fix = "upgrade pandas-market-calendars once a release has the days of the next year"
        yield Check("horizon", "warn", trading_time.describe_horizon(), fix)
    else:
        yield Check("horizon", "ok", f"announced holidays reach {trading_time.horizon()}")
