"""Facts of the source for commands that do not load it.

docs/how-to/schedule.md explains the times of its jobs.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loaders.engine.operations import Operations, ScheduledJob, describe_stale_fix
from loaders.settings import Settings
from loaders.tdx.settings import NO_EVENTS_FIX, OTHER_SERVERS
from quotemill.errors import SettingsError
from quotemill.instrument_ranges import known_ranges

if TYPE_CHECKING:
    from loaders.tdx.settings import TdxSettings

_job = partial(ScheduledJob, time_zone="Asia/Shanghai")
JOBS = {
    "tdx_daily": _job("run tdx", "daily 17:30", calendar="XSHG", on_overlap="queue"),
    "tdx_realtime": _job(
        "loaders run tdx --mode realtime", "off", calendar="XSHG", catch_up=False, deadline=60
    ),
    "tdx_calendar": _job("loaders run tdx --dataset trading_calendar", "weekly sun 09:00"),
    "tdx_reconcile": _job("reconcile", "monthly 1 10:00", needs="base_url"),
    "tdx_selftest": _job("loaders selftest tdx", "weekly sat 09:30", deadline=60, needs="base_url"),
}


def missing_settings(settings: Settings) -> str | None:
    """The reason why these settings cannot load this source, or None."""
    tdx = settings.tdx
    if tdx.has_service or tdx.client:
        return None
    return (
        "none of QUOTEMILL_TDX__DOWNLOAD, QUOTEMILL_TDX__SERVERS, QUOTEMILL_TDX__CLIENT, "
        "QUOTEMILL_TDX__BASE_URL is set"
    )


def describe_late_fix(settings: Settings, dataset: str, ended: date | None = None) -> str:
    """The fix of a late dataset; files are only as new as the last download.

    ended: the last day of a service that was asked for newer ones
    """
    tdx = settings.tdx
    folder = tdx.client
    if dataset == "corporate_actions":
        return _describe_events_fix(tdx)
    if tdx.servers and ended:
        return f"the quote servers end {ended}. {OTHER_SERVERS}, then run `quotemill run tdx`."
    if tdx.has_service:
        return describe_stale_fix(settings, dataset, ended)
    if folder is None:
        return "Set QUOTEMILL_TDX__CLIENT or QUOTEMILL_TDX__BASE_URL, then quotemill run"
    return tdx.choose_fix(
        client=f"Download the latest bars in the client of {folder}, then quotemill run; for a "
        'dataset that you no longer load: quotemill findings --ack NUMBER --reason "…" '
        "(quotemill findings lists the numbers)"
    )


def _describe_events_fix(tdx: "TdxSettings") -> str:
    source = tdx.actions_source
    if isinstance(source, Path):
        return f"Add the newer events to {source}, then quotemill run tdx"
    if source == "gbbq" and tdx.download:
        return "quotemill run tdx, which downloads gbbq"
    if source == "gbbq" and tdx.client is not None:
        return f"Start the client of {tdx.client} to download gbbq, then quotemill run tdx"
    if source == "gbbq":
        return "Set QUOTEMILL_TDX__CLIENT to the folder that has gbbq, then quotemill run tdx"
    if source is None:
        return NO_EVENTS_FIX
    return "quotemill run"


def check_new_folders(settings: Settings, names: Collection[str]) -> None:
    """Raises SettingsError where a load would refuse a folder that is set now."""
    if "tdx.client" not in names:
        return
    from loaders.tdx.files.folder import check_folder, scan_folder  # takes long to import

    check_folder(settings)
    scan_folder(settings.tdx)


def _kind(source: Path | str | None) -> str:
    """The name of a source of corporate actions: csv, gbbq, xdxr, or none."""
    return "csv" if isinstance(source, Path) else source or ""


def settings_for_dbt(settings: Settings) -> dict[str, str]:
    values = {"corporate_actions": _kind(settings.tdx.actions_source)}
    with suppress(SettingsError):  # a load of tdx says what is wrong with the file
        values["tdx_instrument_range_mistakes"] = "\n".join(known_ranges().mistakes)
    return values


OPERATIONS = Operations(
    missing_settings,
    "TDX, China A-shares",
    "Asia/Shanghai",
    JOBS,
    describe_late_fix,
    check_new_folders,
    ("client",),
    has_verify=True,
    dbt_settings=settings_for_dbt,
)
