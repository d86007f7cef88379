"""What a source brings for operating it: scheduled jobs, and words of its log."""

from dataclasses import dataclass
from typing import Literal

# words of a log line about a lost or refused connection, of any source
DISCONNECT_WORDS = (
    "disconnect",
    "connection broke",
    "cannot be reached",
    "broke off",
    "refused the connection",
)


@dataclass(frozen=True)
class ScheduledJob:
    """A job as a source ships it; `quotemill schedule` starts it.

    The fields are those of a section `schedule.JOB` of the settings, in the same words, and
    `needs`: a setting of the source without which the job has nothing to do.
    """

    command: str
    when: str
    calendar: str = ""  # XSHG, XNYS; empty: every day
    time_zone: str = "UTC"
    on_overlap: Literal["skip", "queue"] = "skip"
    jitter: int = 0  # seconds
    deadline: int = 600  # minutes
    catch_up: bool = True
    retry: int = 0  # minutes after a run whose source was away, or that was killed; 0: not at all
    needs: str = ""  # base_url
