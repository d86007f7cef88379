"""Scheduled jobs of the source; docs/how-to/schedule.md explains their times."""

from functools import partial

from loaders.engine.operations import ScheduledJob

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
