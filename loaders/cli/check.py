"""`loaders check`: is a source there, and what to do when it is not."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from loaders.cli import shell
from loaders.errors import UsageError
from loaders.settings import Settings, load_settings

JsonFlag = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def check_command(
    source: Annotated[str, typer.Argument(help="tdx")] = "tdx", json: JsonFlag = False
) -> None:
    """Test the connection to a source with a real request, not with its health page.

    Example: loaders check tdx
    """
    if source != "tdx":
        raise UsageError(f"unknown source {source}", hint="sources: tdx")
    found = check_tdx(load_settings())
    if json:
        shell.print_json(found)
        return
    print(
        f"{found['base_url']} answers; its calendar runs {found['first_day']} to {found['last_day']}"
    )
    for warning in found["warnings"]:
        print(f"warning: {warning}")


def check_tdx(settings: Settings) -> dict[str, Any]:
    """Probe the service. Raises SettingsError, or UpstreamError with the mend as its hint."""
    from loaders.tdx.client import TdxClient
    from loaders.trading_time import SHANGHAI

    async def probe() -> dict[str, Any]:
        today = datetime.now(UTC).astimezone(SHANGHAI).date()
        async with TdxClient(settings.tdx) as client:
            ready = await client.probe(today)
        return {
            "base_url": settings.tdx.base_url,
            "first_day": ready.first_day,
            "last_day": ready.last_day,
            "warnings": list(ready.warnings),
        }

    return asyncio.run(probe())
