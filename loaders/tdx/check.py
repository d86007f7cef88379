"""Is the service there? For people to ask before a load."""

import asyncio
from datetime import datetime
from typing import Any

from loaders.settings import Settings
from loaders.tdx.service.client import TdxClient
from loaders.trading_time import SHANGHAI


def check(settings: Settings, now: datetime) -> dict[str, Any]:
    """Probe the service; its address, the span of its calendar and warnings.

    Raises SettingsError, or UpstreamError with the mend as its hint.
    """

    async def probe() -> dict[str, Any]:
        async with TdxClient(settings.tdx) as client:
            ready = await client.probe(now.astimezone(SHANGHAI).date())
        return {
            "base_url": settings.tdx.address,
            "first_day": ready.first_day,
            "last_day": ready.last_day,
            "warnings": list(ready.warnings),
        }

    return asyncio.run(probe())
