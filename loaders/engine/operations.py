"""Operation of a source: scheduled jobs, fixes, and words of its log."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from loaders.settings import Settings

# words of a log line about a lost or refused connection, of any source
DISCONNECT_WORDS = (
    "disconnect",
    "connection broke",
    "cannot be reached",
    "broke off",
    "refused the connection",
)


def describe_stale_fix(_: "Settings", __: str, ended: date | None = None) -> str:
    """The fix of a dataset that is late; the service may have been asked, and have no more."""
    if ended is None:
        return "quotemill run"
    return (
        f"the service itself ends on {ended}: once it continues, quotemill run; a "
        f"simulated one does not continue, so use quotemill status --as-of {ended}T18:00"
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
    deadline: int = 600  # minutes
    catch_up: bool = True
    retry: int = 0  # minutes after a run whose source was away, or that was killed; 0: not at all
    needs: str = ""  # base_url


@dataclass(frozen=True)
class Operations:
    """Facts of a source for commands that do not load it.

    missing     why the source cannot be loaded with these settings, or None
    title       for people, beside its name
    time_zone   of its exchange, in which times of what is its own are shown
    jobs        what `quotemill schedule` starts while the source is configured, by name
    stale_fix   what brings a dataset that is late up to date; its last day if the source was asked
                for newer ones and has none, else None
    check_new   raises SettingsError where new values of some settings name what no load would take
    folders     its settings that name a folder or a file to load from
    has_verify  whether `loaders verify` checks what was loaded
    dbt_settings  settings that dbt's models read from ops.settings, by name
    """

    missing: "Callable[[Settings], str | None]"
    title: str
    time_zone: str
    jobs: Mapping[str, ScheduledJob] = field(default_factory=dict)
    stale_fix: "Callable[[Settings, str, date | None], str]" = describe_stale_fix
    check_new: "Callable[[Settings, Collection[str]], None]" = lambda *_: None
    folders: Sequence[str] = ()
    has_verify: bool = False
    dbt_settings: "Callable[[Settings], Mapping[str, str]]" = lambda _: {}
