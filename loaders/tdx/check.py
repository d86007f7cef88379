"""`loaders check tdx`: test the service and the client's folder before a load."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from loaders.engine.check import Check, describe_service
from loaders.errors import SettingsError
from loaders.settings import Settings
from loaders.tdx.client.client import TdxClient
from loaders.tdx.files.folder import HQ_CACHE, Folder, scan_folder
from loaders.tdx.files.tnf import FILES as LISTS
from loaders.tdx.files.vipdoc import last_day
from loaders.tdx.request import missing_settings
from loaders.trading_time import SHANGHAI, newest_final, published_days

SECTORS = ("block_gn.dat", "block_fg.dat", "block_zs.dat", "tdxhy.cfg")
UNREADABLE_NAMED = 5


def check(settings: Settings, now: datetime) -> Check:
    """Check service and folder, if configured. Raises SettingsError, UpstreamError."""
    if missing := missing_settings(settings):
        raise SettingsError(f"no TDX service or client's folder is configured: {missing}")
    folder = scan_folder(settings.tdx)
    parts = [_folder(folder, now)] if folder else []
    if settings.tdx.base_url is not None:
        parts.insert(0, asyncio.run(_service(settings, now)))
    figures = {name: value for part in parts for name, value in part.figures.items()}
    return describe_service(
        "; ".join(part.text for part in parts),
        [warning for part in parts for warning in part.figures["warnings"]],
        {name: value for name, value in figures.items() if name != "warnings"},
    )


async def _service(settings: Settings, now: datetime) -> Check:
    async with TdxClient(settings.tdx) as client:
        ready = await client.probe(now.astimezone(SHANGHAI).date())
    address = settings.tdx.address
    return describe_service(
        f"{address} answers; its calendar runs {ready.first_day} to {ready.last_day}",
        ready.warnings,
        {"base_url": address, "first_day": ready.first_day, "last_day": ready.last_day},
    )


def _folder(folder: Folder, now: datetime) -> Check:
    """Contents and age of the client's folder; a stale one is a warning, no error."""
    newest = max(
        (day for file in folder.bars("day").values() if (day := last_day(file))), default=None
    )
    counts = {period: len(folder.bars(period)) for period in ("day", "minute1", "minute5")}
    lists = {name: path for name in LISTS.values() if (path := _cached(folder, name))}
    sectors = {name: path for name in SECTORS if (path := _cached(folder, name))}
    gbbq = _cached(folder, "gbbq")
    parts = [f"day bars of {counts['day']:,} codes" + (f" to {newest}" if newest else "")]
    parts += [f"minutes of {counts['minute1']:,}"] if counts["minute1"] else []
    parts += [f"{', '.join(lists)} of {_written(lists)}"] if lists else ["no list of codes"]
    parts += [f"gbbq of {_written({'gbbq': gbbq})}"] if gbbq else ["no gbbq"]
    parts += [f"sectors of {_written(sectors)}"] if sectors else ["no sectors"]
    return describe_service(
        f"{folder.root}: {', '.join(parts)}",
        _warnings(folder, newest, now),
        {
            "client": str(folder.root),
            "day_files": counts["day"],
            "minute_files": counts["minute1"],
            "five_minute_files": counts["minute5"],
            "newest_day": newest,
            "lists": sorted(lists),
            "gbbq": gbbq is not None and _written({"gbbq": gbbq}),
            "sectors": sorted(sectors),
        },
    )


def _cached(folder: Folder, name: str) -> Path | None:
    return folder.find(f"{HQ_CACHE}/{name}")


def _written(files: Mapping[str, Path]) -> str:
    """The day when the newest of some files was written, by the exchange's clock."""
    newest = max(path.stat().st_mtime for path in files.values())
    return datetime.fromtimestamp(newest, UTC).astimezone(SHANGHAI).date().isoformat()


def _warnings(folder: Folder, newest: date | None, now: datetime) -> Iterator[str]:
    yield from folder.unreadable[:UNREADABLE_NAMED]
    if newest is None:
        yield f"{folder.root} has no day bars: download them in the client"
        return
    today = now.astimezone(SHANGHAI).date()
    due = newest_final(published_days(newest, max(today, newest)), now)
    if due is not None and due > newest:
        late = len(published_days(newest, due)) - 1
        yield (
            f"the client's folder is stale: its newest day is {newest}, {late:,} trading days ago; "
            "download day bars in the client, or take its newest copy"
        )
    if folder.strays:
        yield (
            f"{len(folder.strays):,} files are not named for a code of their folder's exchange, "
            f"such as {folder.strays[0]}"
        )
