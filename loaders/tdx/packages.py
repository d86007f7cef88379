"""Downloads of the vendor's packages, by which the client's folder continues."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from loaders.files import lock
from loaders.files.whole_file import explain_unwritable
from loaders.requests import http
from loaders.requests.http import RetryableAnswer, RetryPolicy
from loaders.tdx.bars.records import to_dates
from loaders.tdx.files.day_package import (
    DayFiles,
    read_package,
    replace_file,
    unpack_events,
)
from loaders.tdx.files.folder import Folder, list_files
from loaders.tdx.files.vipdoc import first_day, list_days
from loaders.tdx.files.written import read_content
from loaders.tdx.losses import judge_loss
from loaders.trading_time import SHANGHAI, horizon, published_days
from quotemill.errors import DataQualityError, LockHeldError, SettingsError, UpstreamError
from quotemill.instrument_ranges import COMPOSITE
from quotemill.masks import mask_logins

if TYPE_CHECKING:
    from loaders.tdx.context import Context
    from loaders.tdx.settings import TdxSettings

FOLDER = "g4day"  # of the packages, at the vendor's and in the client's folder
FIRST = date(2022, 1, 4)  # no package is older
READY, LATE = time(16, 0), time(18, 0)  # a package may come; it is a failure if it has not
PATIENCE = 300.0  # seconds for a package of 3 MB
UNWRITABLE = "Unset tdx.download, or set tdx.client to a folder that you can write to."
HISTORY = "https://data.tdx.com.cn/vipdoc/hsjday.zip"
_BY_HAND = f"download {HISTORY} in a browser and unzip it into {{}}"


def due_days(settings: "TdxSettings", folder: Folder, now: datetime) -> list[date]:
    """The trading days whose package is to be had, ascending.

    Of the newest `tdx.download_days`, and of all since the newest day of the folder, those that the
    calendar's index lacks.
    """
    local = now.astimezone(SHANGHAI)
    last = local.date() - timedelta(days=local.time() < READY)
    file = folder.bars("day").get(COMPOSITE)
    known = to_dates(list_days(file)) if file else []
    window = published_days(FIRST, last)
    start = window[-settings.download_days :][0] if window else last
    if known:
        start = min(start, known[-1])
    return [day for day in window if day >= start and day not in {*known}]


def download(ctx: "Context") -> Iterator[str]:
    """Continue the client's folder by packages; yields a failure for each that did not come.

    Raises SettingsError for the folder of a client that runs, and UpstreamError or DataQualityError
    if nothing can be downloaded into an empty folder.
    """
    settings, load = ctx.settings, ctx.load
    root = settings.client
    assert root is not None
    if any(root.glob("[Tt]dx[Ww].exe")):
        raise SettingsError(
            f"tdx.client: {root} is the folder of a desktop client, which downloads its own data",
            hint="Unset tdx.download, or set tdx.client to another folder.",
        )
    if root != load.settings.home / "tdx" and not (root / "vipdoc").is_dir():
        raise SettingsError(
            f"tdx.client: {root} has no folder vipdoc to download into",
            hint=f"Run `mkdir -p {root / 'vipdoc'}`, or unset tdx.client.",
        )
    with explain_unwritable(root, hint=UNWRITABLE):
        root.mkdir(parents=True, exist_ok=True)
    # another home may have the same folder
    with lock.hold(root, wait=PATIENCE, is_folder=True) as held:
        if held is None:
            raise LockHeldError(
                f"another load is downloading into {root}", hint="Run it again later."
            )
        yield from _continue_folder(ctx, root)
    begin = first_day(root / f"vipdoc/sh/lday/{COMPOSITE}.day")
    if ctx.mode == "init" and begin and begin >= FIRST:
        load.warn(
            f"the history begins on {begin}. For the full history, download {HISTORY} in "
            f"a browser, unzip it into {root / 'vipdoc'}, then run again"
        )


def _continue_folder(ctx: "Context", root: Path) -> Iterator[str]:
    """Download what is due and write it. A package that cannot be had holds back no other."""
    load, folder = ctx.load, list_files(root)
    due = due_days(ctx.settings, folder, load.clock())
    files = DayFiles(root, folder.bars("day"))
    site = _Site(ctx, root)
    missing, refused, taken = list[date](), dict[date, str](), list[Path]()
    has_failed, known = False, files.newest_day or FIRST
    try:
        for number, day in enumerate(due, 1):
            load.reporter.step(f"package {number:,} of {len(due):,}, {day}, {site.megabytes}")
            place = root / FOLDER / f"{day:%Y%m%d}.zip"
            try:
                content = site.fetch(f"{FOLDER}/{place.name}", place)
            except DataQualityError as error:
                refused[day] = str(error)
                continue
            except RetryableAnswer as error:
                if has_failed:  # two in a row: it is the site's fault
                    raise
                has_failed = True
                refused[day] = str(error)
                continue
            has_failed = False
            if content is None:
                missing.append(day)
                continue
            try:
                package = read_package(content, day)
                if files.repeats(package):
                    raise DataQualityError(f"{place.name} repeats the bars of another day")
            except DataQualityError as error:
                fix = f"{_describe_renewal(place)}, or {_BY_HAND.format(root / 'vipdoc')}"
                refused[day] = f"{error}. The day is still due: {fix}"
                continue
            if refusal := judge_loss(load, "codes", *files.find_losses(package)):
                refused[day] = refusal
                continue
            if not place.is_file():
                with explain_unwritable(place, hint=UNWRITABLE):
                    replace_file(place, content)
            files.add(package)
            taken.append(place)
        if refused and not files.newest:
            raise DataQualityError(refused[max(refused)])
        place = root / "gbbq.zip"
        events = site.fetch(f"dbf/{place.name}", place)
        if events is None:
            yield f"{mask_logins(ctx.settings.download_url)}/dbf/gbbq.zip does not exist"
        else:
            try:
                with explain_unwritable(root, hint=UNWRITABLE):
                    unpack_events(events, root)
            except DataQualityError as error:
                raise DataQualityError(f"{error}: {_describe_renewal(place)}") from None
            taken.append(place)
    except (UpstreamError, DataQualityError) as error:
        if not files.newest:
            raise
        yield f"{error}. Loading the folder as it is"
    with explain_unwritable(root, hint=UNWRITABLE):
        files.write()
        for place in taken:
            place.unlink(missing_ok=True)
    for day, why in refused.items():
        if day > known or (root / FOLDER / f"{day:%Y%m%d}.zip").is_file():
            yield why
        else:  # an earlier load failed by it, and newer days came since
            load.warn(why)
    yield from _judge_missing(ctx, missing, files.newest_day)


def _describe_renewal(place: Path) -> str:
    return f"delete {place}" if place.is_file() else "the next load downloads it again"


def _judge_missing(ctx: "Context", missing: list[date], known: date | None) -> Iterator[str]:
    """A failure for the newest day's package once it is late, and a line for an older one.

    A day after the announced holidays may be one itself, so its package is never late.

    known: the newest day with a package
    """
    if not missing:
        return
    local = ctx.load.clock().astimezone(SHANGHAI)
    names = ", ".join(f"{day:%Y%m%d}.zip" for day in missing)
    sentence = f"{names}: not available yet, the next load will retry"
    newest = max((day for day in missing if day <= horizon()), default=FIRST)
    is_late = newest < local.date() or local.time() >= LATE
    if is_late and (known is None or known < newest):
        yield sentence
    else:
        ctx.load.reporter.line(sentence)


class _Site:
    """The vendor's site, asked for one file at a time."""

    def __init__(self, ctx: "Context", root: Path) -> None:
        self.ctx, self.root, self.bytes = ctx, root, 0
        self.policy = RetryPolicy(ctx.settings.retries, ctx.settings.backoff)

    @property
    def megabytes(self) -> str:
        return f"{self.bytes / 1e6:,.1f} MB so far"

    def fetch(self, name: str, place: Path) -> bytes | None:
        """A zip, maybe saved as `place` by hand; None if it is not there.

        Raises UpstreamError, DataQualityError.
        """
        return read_content(place) if place.is_file() else self.ctx.wait(self._fetch(name, place))

    async def _fetch(self, name: str, place: Path) -> bytes | None:
        url = f"{mask_logins(self.ctx.settings.download_url)}/{name}"

        async def attempt() -> http.Response:
            answer = await http.send(client, "GET", f"/{name}", {}, limit=PATIENCE)
            if answer.status_code not in (200, 404):
                raise RetryableAnswer(f"{url}: HTTP status {answer.status_code}")
            return answer

        async with http.http_client(
            self.ctx.settings.download_url, connections=1, is_public=True
        ) as client:
            answer = await http.retrying(self.policy, attempt)
        self.bytes += len(answer.content)
        if answer.status_code == 404:
            return None
        if not answer.content.startswith(b"PK"):
            raise DataQualityError(
                f"{url} is a web page, not a zip: open it in a browser and save it as {place}"
            )
        return answer.content
