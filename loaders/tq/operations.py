"""Facts of the source for commands that do not load it.

docs/how-to/schedule.md says why each job runs when it does.
"""

from loaders.engine.operations import Operations, ScheduledJob
from loaders.settings import Settings

JOBS = {
    "tq_daily": ScheduledJob(
        "run tq",
        "daily 19:45",  # after the maintenance of the servers, before the night session
        calendar="XSHG",
        time_zone="Asia/Shanghai",
        on_overlap="queue",
        retry=60,
    ),
    "tq_cross_check": ScheduledJob(
        "loaders run tq --mode cross-check", "weekly sat 10:00", time_zone="Asia/Shanghai"
    ),
    # turned on by its times, such as `weekly sun 10:00`
    "tq_retention": ScheduledJob("retention --view ticks", "off", time_zone="Asia/Shanghai"),
    # turned on by its times; those after the first of a session find it recording
    "tq_live": ScheduledJob(
        "loaders run tq --mode live",
        "off",
        calendar="XSHG",
        time_zone="Asia/Shanghai",
        deadline=480,
        retry=2,
    ),
}


def missing_settings(settings: Settings) -> str | None:
    """Why this source cannot be loaded with these settings, or None."""
    tq = settings.tq
    if (tq.account and tq.password) or tq.sandbox:
        return None
    lacking = "ACCOUNT" if not tq.account else "PASSWORD"
    return f"QUOTEMILL_TQ__{lacking} is not set"


OPERATIONS = Operations(
    missing_settings,
    "TqSdk, China futures",
    "Asia/Shanghai",
    JOBS,
    has_verify=True,
    dbt_settings=lambda settings: {"tq_route": settings.tq.route},
)
