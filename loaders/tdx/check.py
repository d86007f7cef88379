"""Is the service there? For people to ask before a load."""

import asyncio
from datetime import datetime

from loaders.engine.source import Checked
from loaders.settings import Settings
from loaders.tdx.service.client import TdxClient
from loaders.trading_time import SHANGHAI


def check(settings: Settings, now: datetime) -> Checked:
    """Probe the service; its address, the span of its calendar and warnings.

    Raises SettingsError, or UpstreamError with the mend as its hint.
    """

    async def probe() -> Checked:
        async with TdxClient(settings.tdx) as client:
            ready = await client.probe(now.astimezone(SHANGHAI).date())
        address = settings.tdx.address
        return Checked(
            f"{address} answers; its calendar runs {ready.first_day} to {ready.last_day}",
            ready.warnings,
            {"base_url": address, "first_day": ready.first_day, "last_day": ready.last_day},
        )

    return asyncio.run(probe())
