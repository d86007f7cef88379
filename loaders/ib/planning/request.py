"""The tasks, and whether a request of one makes sense, before anything is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from loaders.engine.request import LoadRequest
from loaders.ib.client.gateway import open_gateway
from loaders.ib.client.library import check_client
from loaders.ib.contracts import universe
from loaders.ib.operations import missing_settings
from loaders.settings import Settings
from quotemill.errors import SettingsError, UsageError


@dataclass(frozen=True)
class Task:
    """A task of the source; the mode of a request.

    dataset  what it captures; discovery's other datasets follow from the symbols of this one
    options  of the command line that imply it
    further  options that it takes beside those
    """

    dataset: str
    options: Sequence[str] = ()
    further: Sequence[str] = ()


DISCOVER, SNAPSHOT, CLOSE, ENRICH, DAILY = "discover", "snapshot", "close", "enrich", "daily"
TASKS = {
    DISCOVER: Task("contract"),
    SNAPSHOT: Task("chain_snapshot", ("slot", "run_day", "retry_missed"), ("date",)),
    CLOSE: Task("chain_close", further=("date",)),
    ENRICH: Task("open_interest", ("date",)),
    DAILY: Task("underlying_daily"),
}
ANY_TASK = ("incremental", "init")  # modes of the command line for what is due at this minute
# option of a scheduled load: `now`; `known` for symbols with contracts; `missed` for what the
# slot lacks
DUE = "due"
HINT = f"loaders run ib --task {'|'.join(TASKS)}"


def check_request(settings: Settings, request: LoadRequest) -> None:
    """Raises UsageError, SettingsError for what can be known before anything is opened."""
    if missing := missing_settings(settings):
        raise SettingsError(
            f"no IB gateway is configured: {missing}",
            hint="Set IB_HOST and IB_PORT, or try `loaders sandbox ib`.",
        )
    check_client()
    task = task_name(request)
    # a retry names no task: its job does
    if task not in (*TASKS, *ANY_TASK):
        raise UsageError(f"unknown task: --task {request.mode}", hint=HINT)
    given = set(request.options) - {DUE}
    fitting = (*TASKS[task].options, *TASKS[task].further) if task in TASKS else ()
    if foreign := sorted(given.difference(fitting)):
        raise UsageError(f"--{foreign[0].replace('_', '-')} cannot be used with --task {task}")
    # the slot that is completed may be named; a whole day has all of them
    if "run_day" in given and given & {"slot", "retry_missed"}:
        raise UsageError("--run-day cannot be used with --slot or --retry-missed")
    if request.datasets is not None:
        raise UsageError("--dataset cannot be used with ib: use --task instead", hint=HINT)
    if request.since or request.until:
        raise UsageError(
            "--since and --until cannot be used with ib: past quotes are not available"
        )
    universe.groups(settings.ib, request.keys)


def task_name(request: LoadRequest) -> str:
    """The task of a request; without --task an option implies the one that it goes with."""
    if request.mode not in ANY_TASK:
        return request.mode
    implied = (name for name, task in TASKS.items() if set(task.options) & set(request.options))
    return next(implied, request.mode)


def lane_name(task: str) -> str:
    """Pipeline and lock of a task."""
    return f"ib_{task}"


def when_busy(
    settings: Settings, request: LoadRequest
) -> Literal["fail", "skip", "wait"] | timedelta:
    """Leave a busy lane to the load that holds it; a slot waits for its lane."""
    if DUE in request.options:
        return "skip"
    is_slot = task_name(request) == SNAPSHOT and "retry_missed" not in request.options
    return timedelta(minutes=settings.ib.slot_window_minutes) if is_slot else "fail"


def current_time(settings: Settings) -> datetime:
    """Now, UTC: the gateway's own clock where `ib.clock` says so."""
    if settings.ib.clock == "machine":
        return datetime.now(UTC)
    check_client()
    with open_gateway(settings.ib) as gateway:
        return gateway.server_time()
