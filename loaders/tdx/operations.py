"""Facts of the source for commands that do not load it.

docs/how-to/schedule.md explains the times of its jobs.
"""

from functools import partial

from loaders.engine.operations import Operations, ScheduledJob
from loaders.settings import Settings

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
    if tdx.base_url or tdx.client or tdx.vipdoc:
        return None
    return "QUOTEMILL_TDX__BASE_URL, or QUOTEMILL_TDX__CLIENT, is not set"


def describe_stale_fix(settings: Settings) -> str:
    """The fix of late data; a client's folder is only as new as its downloads."""
    if settings.tdx.base_url is not None:
        return "quotemill run"
    folder = settings.tdx.client or settings.tdx.vipdoc
    return (
        f"download the newest bars in the client of {folder}, then quotemill run; for a dataset "
        'that you load no more: quotemill findings --ack NUMBER --reason "…", '
        "its number is in quotemill findings"
    )


OPERATIONS = Operations(missing_settings, JOBS, describe_stale_fix, has_verify=True)
