"""`loaders check tdx`: test the service and the client's folder before a load."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from loaders.check import Check, describe_service
from loaders.settings import Settings
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.client.client import TdxClient
from loaders.tdx.datasets.trading_calendar import INDICES
from loaders.tdx.files.folder import HQ_CACHE, Folder, list_files, scan_folder
from loaders.tdx.files.sectors import KINDS as SECTORS
from loaders.tdx.files.tnf import find_list
from loaders.tdx.files.vipdoc import last_day
from loaders.tdx.files.written import State, read_content
from loaders.tdx.operations import describe_late_fix
from loaders.tdx.packages import due_days
from loaders.tdx.request import require_settings
from loaders.tdx.servers.frames import Server
from loaders.tdx.servers.pool import Pool
from loaders.trading_time import SHANGHAI, newest_final, published_days
from quotemill.errors import DataQualityError
from quotemill.instrument_ranges import describe_other_kinds
from quotemill.masks import mask_logins
from quotemill.wording import say_count

UNREADABLE_NAMED = 5


def check(settings: Settings, now: datetime) -> Check:
    """Check service and folder, if configured. Raises SettingsError, UpstreamError."""
    require_settings(settings)
    held = (
        list_files(settings.tdx.client) if settings.tdx.download and settings.tdx.client else None
    )
    folder = None if held and not held.files else scan_folder(settings.tdx)
    parts = [_folder(folder, now, downloads=settings.tdx.download)] if folder else []
    parts += [_packages(settings, held, now)] if held else []
    if settings.tdx.has_service:
        parts.insert(0, asyncio.run(_service(settings, now)))
    if settings.tdx.actions_source == "xdxr" and not settings.tdx.servers:
        parts.append(asyncio.run(_quote_servers(settings)))
    figures = {name: value for part in parts for name, value in part.figures.items()}
    return describe_service(
        "; ".join(part.sentence for part in parts),
        [warning for part in parts for warning in part.figures["warnings"]],
        {name: value for name, value in figures.items() if name != "warnings"},
    )


async def _service(settings: Settings, now: datetime) -> Check:
    async with TdxClient(settings.tdx) as client:
        ready = await client.probe(now.astimezone(SHANGHAI).date())
    address = settings.tdx.address
    answering = f"one of the {address}" if settings.tdx.servers else address
    # of the newest day it may be late
    has_ended = _count_days_since(ready.last_day, now) > 1
    end = [describe_late_fix(settings, "", ready.last_day)] if has_ended else []
    return describe_service(
        f"{answering} responds, with a calendar from {ready.first_day} to {ready.last_day}",
        [*ready.warnings, *end],
        {"base_url": address, "first_day": ready.first_day, "last_day": ready.last_day},
    )


async def _quote_servers(settings: Settings) -> Check:
    """The server that a load would ask for corporate actions: one that has bars."""

    async def name(server: Server) -> str:
        return "{}:{}".format(*server.address)

    async with Pool(settings.tdx) as pool:
        address = await pool.use("corporate actions", name)
    sentence = f"quote server {address} responds, for corporate actions"
    return describe_service(sentence, [], {"quote_server": address})


def _count_days_since(newest: date, now: datetime) -> int:
    """Trading days after `newest` whose bars are finished."""
    today = now.astimezone(SHANGHAI).date()
    due = newest_final(published_days(newest, max(today, newest)), now)
    return len(published_days(newest, due)) - 1 if due is not None and due > newest else 0


def _folder(folder: Folder, now: datetime, *, downloads: bool) -> Check:
    """Contents and age of the client's folder; a stale one is a warning, no error."""
    files = folder.bars("day")
    # the calendar's, as a load has it
    calendar = (last_day(files[index], now) for index in INDICES if index in files)
    newest = next(filter(None, calendar), None)
    if newest is None:
        newest = max(filter(None, (last_day(file, now) for file in files.values())), default=None)
    counts = {period: len(folder.bars(period)) for period in ("day", "minute1", "minute5")}
    lists = list(filter(None, (find_list(folder, exchange) for exchange in EXCHANGES)))
    sectors = list(filter(None, (folder.find(f"{HQ_CACHE}/{name}") for name in SECTORS)))
    gbbq = folder.find(f"{HQ_CACHE}/gbbq")
    parts = [
        f"day bars of {say_count(counts['day'], 'code')}" + (f" to {newest}" if newest else "")
    ]
    parts += [f"minutes of {counts['minute1']:,}"] if counts["minute1"] else []
    parts += [f"five-minute bars of {counts['minute5']:,}"] if counts["minute5"] else []
    parts += [_describe("lists", lists) if lists else "no list of codes"]
    parts += [f"gbbq of {_written([gbbq])}"] if gbbq else ["no gbbq"]
    parts += [_describe("sectors", sectors) if sectors else "no sectors"]
    other_kinds = describe_other_kinds(folder.bars("day"), "of these codes")
    parts += [other_kinds] if other_kinds else []
    return describe_service(
        f"{folder.root}: {', '.join(parts)}",
        [*_warnings(folder), *(() if downloads else _describe_age(folder, newest, now))],
        {
            "client": str(folder.root),
            "day_files": counts["day"],
            "minute_files": counts["minute1"],
            "five_minute_files": counts["minute5"],
            "newest_day": newest,
            "lists": sorted(path.name.lower() for path in lists),
            "gbbq": gbbq is not None and _written([gbbq]),
            "sectors": sorted(path.name.lower() for path in sectors),
        },
    )


def _packages(settings: Settings, folder: Folder, now: datetime) -> Check:
    """The day packages that the next load asks for."""
    due = due_days(settings.tdx, folder, now)
    ends = dict.fromkeys(str(day) for day in (*due[:1], *due[-1:]))
    days = f", {' to '.join(ends)}" if due else ""
    site = mask_logins(settings.tdx.download_url)
    return describe_service(
        f"packages of {site}, not requested yet: {say_count(len(due), 'day')} due{days}",
        [],
        {"download_url": site, "due_days": [str(day) for day in due]},
    )


def _describe(what: str, files: list[Path]) -> str:
    return f"{what} of {_written(files)} ({', '.join(path.name.lower() for path in files)})"


def _written(files: Iterable[Path]) -> str:
    """The day when the newest of some files was written, by the exchange's clock."""
    return max(State.read_state(path).day for path in files).isoformat()


def _warnings(folder: Folder) -> Iterator[str]:
    yield from islice(folder.unreadable.values(), UNREADABLE_NAMED)
    for index in INDICES:
        if file := folder.bars("day").get(index):
            try:
                read_content(file)
            except DataQualityError as error:
                yield str(error)


def _describe_age(folder: Folder, newest: date | None, now: datetime) -> Iterator[str]:
    """What to do about a folder that only its user renews."""
    if newest is None:
        yield f"{folder.root} has no day bars: download them in the client"
        return
    if late := _count_days_since(newest, now):
        yield (
            f"the client's folder is stale (latest day: {newest}, "
            f"{say_count(late, 'trading day')} ago): download day bars in the client, or "
            "use a more recent copy"
        )
