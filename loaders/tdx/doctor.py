"""Checks of `quotemill doctor`: settings, files and holidays of this source."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from loaders import trading_time
from loaders.engine.check import Check, check_paths
from loaders.settings import Settings
from loaders.warehouse.postgres import Warehouse

HORIZON = timedelta(days=60)


def check_setup(settings: Settings, _: Warehouse | None, now: datetime) -> Iterator[Check]:
    """Check the prerequisites of a load other than the service."""
    tdx = settings.tdx
    if tdx.actions_source is None:
        yield Check(
            "settings",
            "warn",
            "no source of corporate actions: adjusted prices equal raw ones",
            "set QUOTEMILL_TDX__CORPORATE_ACTIONS to a CSV file, a folder of them, gbbq or xdxr",
        )
    actions = tdx.corporate_actions if isinstance(tdx.corporate_actions, Path) else None
    yield from check_paths(
        [
            ("tdx.corporate_actions", actions, "a CSV file, or a folder of them"),
            ("tdx.vipdoc", tdx.vipdoc, "the desktop client's folder"),
        ]
    )
    end = trading_time.horizon()
    seen = f"announced holidays reach {end}"
    if end - now.date() < HORIZON:
        yield Check("horizon", "warn", seen, "pip install --upgrade pandas-market-calendars")
    else:
        yield Check("horizon", "ok", seen)
