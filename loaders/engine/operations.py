"""What a source brings for operating it: scheduled jobs, coverage, words of its log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from loaders.settings import Settings

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

    The fields are those of a section `schedule.JOB` of the settings, in the same words.
    """

    command: str
    when: str
    calendar: str = ""  # XSHG, XNYS; empty: every day
    time_zone: str = "UTC"
    on_overlap: Literal["skip", "queue"] = "skip"
    jitter: int = 0  # seconds
    deadline: int = 600  # minutes
    catch_up: bool = True


@dataclass(frozen=True)
class Period:
    """What a report is about: days from `since` to `as_of`, in a warehouse with these schemas.

    `schemas` are names by role: market, futures, options, qa. `due` has the day up to which each
    loaded dataset should reach, None where that is unknown.
    """

    settings: Settings
    schemas: Mapping[str, str]
    since: date
    as_of: datetime
    due: Mapping[str, date | None]


@dataclass(frozen=True)
class Coverage:
    """How much of what was wanted is in the warehouse: items (codes) by days or slots.

    `cells` is a query that ends in `cells` (item, no, line, col, wanted, there), see
    orchestration.report.grid; `moments` are the days or slots in order, `values` further parameters
    of the query. `unit` is what wanted and there count, `fix` the command that loads the rest.
    """

    key: str
    title: str
    unit: str
    note: str
    fix: str
    cells: str
    moments: Sequence[Any]
    are_slots: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
