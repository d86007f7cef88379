"""Section `schedule.JOB` of the settings: changes to a shipped job, or an own job."""

from typing import Annotated, Literal

from pydantic import Field

from quotemill.settings.allowed import Unit
from quotemill.settings.section import Open, Section


class JobSettings(Section):
    """Nothing set: as shipped. The words of `when` are read by orchestration.schedule.timing."""

    command: str | None = Field(
        None, description="what it runs: a command of quotemill, or one that begins with `loaders`"
    )
    when: Open[str | None] = Field(
        None,
        description="off, every 30m, every 6h, every 5m in session (5, 10, 15, 30, 60), "
        "daily 17:30, weekly sat 09:30, monthly 1 10:00 or cron 30 9 * * sat",
    )
    calendar: Open[str | None] = Field(
        None, description="days without a session there are left out: XSHG, XNYS; empty: every day"
    )
    time_zone: Open[str | None] = Field(None, description="the zone of the clocks in `when`")
    on_overlap: Open[Literal["skip", "queue"] | None] = Field(
        None, description="a start while the job still runs: left out, or made when it has ended"
    )
    deadline: Open[Annotated[int, Unit("minutes")] | None] = Field(
        None, ge=1, description="minutes after which a run is stopped; what it did stays"
    )
    catch_up: Open[bool | None] = Field(
        None, description="whether starts that were missed are made up for, by one run"
    )
    retry: Open[Annotated[int, Unit("minutes")] | None] = Field(
        None,
        ge=0,
        description="minutes after which a run whose source was away, or that was killed, is made "
        "again, until the next start; 0: not before that",
    )


# jobs by their name
SECTION = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], JobSettings]
