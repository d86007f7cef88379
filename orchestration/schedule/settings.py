"""Section `schedule.JOB` of the settings: changes to a shipped job, or an own job."""

from typing import Annotated, Literal

from pydantic import Field

from quotemill.settings.allowed import Unit
from quotemill.settings.section import Open, Section


class JobSettings(Section):
    """A job; what is not set is as shipped. orchestration.schedule.timing reads `when`."""

    command: str | None = Field(
        None, description="command to run: a quotemill command, or one that starts with `loaders`"
    )
    when: Open[str | None] = Field(
        None,
        description="when to run: off, every 30m, every 6h, every 5m in session (5, 10, 15, 30, "
        "60), daily 17:30, weekly sat 09:30, monthly 1 10:00 or cron 30 9 * * sat",
    )
    calendar: Open[str | None] = Field(
        None, description="calendar whose sessions count: XSHG, XNYS, or empty for every day"
    )
    time_zone: Open[str | None] = Field(None, description="time zone of the times in `when`")
    on_overlap: Open[Literal["skip", "queue"] | None] = Field(
        None, description="skip a start while the job still runs, or queue it until the job ends"
    )
    deadline: Open[Annotated[int, Unit("minutes")] | None] = Field(
        None, ge=1, description="minutes after which a run is stopped. Its finished work is kept"
    )
    catch_up: Open[bool | None] = Field(
        None, description="whether one run makes up for missed starts"
    )
    retry: Open[Annotated[int, Unit("minutes")] | None] = Field(
        None,
        ge=0,
        description="minutes after which a run is repeated if it was killed or its source was "
        "unreachable. With 0, it waits for the next start",
    )


# jobs by their name
SECTION = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], JobSettings]
