"""Facts of the source for commands that do not load it.

docs/how-to/schedule.md says why each job runs when it does.
"""

from contextlib import suppress
from functools import partial

from loaders.engine.operations import Operations, ScheduledJob
from loaders.settings import Settings
from quotemill.errors import SettingsError

_job = partial(ScheduledJob, time_zone="America/New_York")
_session_job = partial(_job, calendar="XNYS")
# a capture that was missed cannot be made up for
_capture_job = partial(_session_job, catch_up=False)
JOBS = {
    "ib_enrichment": _capture_job("loaders run ib", "daily 04:00 07:30", deadline=180),
    "ib_discover": _capture_job("loaders run ib --task discover", "daily 09:25", deadline=390),
    "ib_snapshot": _capture_job(
        "loaders run ib --task snapshot", "every 30m in session", deadline=29
    ),
    # where the setting adds it: of the two times the command takes the one of the day
    "ib_snapshot_before_close": _capture_job(
        "loaders run ib --task snapshot --slot before-close",
        "cron 45 12,15 * * *",
        deadline=14,
        needs="slot_before_close_enabled",
    ),
    # between two slots, so that neither job holds the lane that the other needs
    "ib_remainder": _capture_job("loaders run ib", "cron 3-58/5 4-19 * * *", deadline=180),
    "ib_close": _capture_job("run ib", "daily 17:00", deadline=180),
    # bars of the next morning may be in the shares after a split; the next evening reads all again
    "ib_daily": _capture_job("loaders run ib --task daily", "daily 18:15", deadline=180),
    # `last`: Monday's scan includes Friday evening
    "ib_logscan": _session_job("logscan ib --since last", "daily 17:30"),
    "ib_rollup": _session_job("build", "daily 08:00 19:15"),
    "ib_qa": _session_job("selfcheck ib", "daily 08:30 20:00"),
    "ib_archive": _session_job("archive", "daily 20:30"),
    "ib_retention": _session_job("retention", "daily 22:30"),
    "ib_compaction": _job("archive --compact", "weekly sat 10:00"),
}
DBT_SETTINGS = (
    "risk_free_rate",
    "min_slot_coverage",
    "max_delayed_share",
    "max_fallback_share",
    "min_oi_share",
    "max_capture_lag_seconds",
    "slot_window_minutes",
    "close_snapshot_until",
)


def missing_settings(settings: Settings) -> str | None:
    """Why this source cannot be loaded with these settings, or None."""
    return None if settings.ib.host else "IB_HOST is not set"


def settings_for_dbt(settings: Settings) -> dict[str, str]:
    from loaders.ib.contracts import universe

    values = {f"ib_{name}": str(getattr(settings.ib, name)) for name in DBT_SETTINGS}
    with suppress(SettingsError):  # a load of ib says what is wrong with the file
        symbols = (symbol for group in universe.groups(settings.ib, None) for symbol in group)
        values["ib_symbols"] = ",".join(symbols)
        values["ib_universe_mistakes"] = "\n".join(universe.list_mistakes(settings.ib))
    return values | {"ib_slot_range": settings.ib.slot_range or ""}


OPERATIONS = Operations(
    missing_settings,
    "IB, US option chains",
    "America/New_York",
    JOBS,
    dbt_settings=settings_for_dbt,
)
