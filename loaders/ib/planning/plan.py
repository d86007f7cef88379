"""The plan of a load: `--dry-run` prints it, the load executes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest
from loaders.ib.contracts import universe
from loaders.ib.planning.due import named_day, named_slots
from loaders.ib.planning.request import CLOSE, DAILY, DISCOVER, ENRICH, SNAPSHOT
from loaders.ib.settings import IbSettings
from loaders.ib.slots import Session, Slot, make_key, require_session

# what a task captures; discovery's other datasets follow from the symbols of this one
DATASET_BY_TASK = {
    DISCOVER: "contract",
    SNAPSHOT: "chain_snapshot",
    CLOSE: "chain_close",
    ENRICH: "open_interest",
    DAILY: "underlying_daily",
}
Keys = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """Keys of a dataset, captured group after group.

    starts_at  slot that is awaited first, on a whole day (UTC)
    """

    dataset: str
    groups: tuple[Keys, ...]
    starts_at: datetime | None = None

    @property
    def keys(self) -> Keys:
        return tuple(key for group in self.groups for key in group)


@dataclass(frozen=True)
class Plan:
    """The steps of one load.

    groups       symbols that are captured together, one group after another
    works_queue  what waits to be captured again is the load's only work
    """

    task: str
    groups: tuple[Keys, ...]
    steps: tuple[Step, ...]
    works_queue: bool = False

    @property
    def symbols(self) -> Keys:
        return tuple(symbol for group in self.groups for symbol in group)

    def __str__(self) -> str:
        if self.works_queue:
            return f"{self.task}: contracts that wait to be captured again"
        keys = "; ".join(", ".join(step.keys) for step in self.steps)
        return f"{self.task}: {DATASET_BY_TASK[self.task]} {keys}"


def plan_request(ib: IbSettings, request: LoadRequest) -> Plan:
    """The plan of a resolved request. Raises SettingsError, UsageError for wrong symbols."""
    groups = tuple(universe.groups(ib, request.keys))
    task, dataset = request.mode, DATASET_BY_TASK[request.mode]
    if "retry_missed" in request.options:
        return Plan(task, groups, (), works_queue=True)
    if task == SNAPSHOT:
        waits = "run_day" in request.options
        steps = [
            Step(dataset, make_groups(groups, slot), slot.at if waits else None)
            for slot in named_slots(request)
        ]
    elif task == DISCOVER:
        steps = [Step(dataset, groups)]
    else:
        steps = [Step(dataset, make_groups(groups, require_session(named_day(request))))]
    return Plan(task, groups, tuple(steps))


def plan_retry(ib: IbSettings, request: LoadRequest, tasks: Sequence[Task]) -> Plan:
    """The plan of what is left of a job: the keys of its tasks.

    Discovery is repeated as a whole for the symbols that are left: each part needs the one before.
    """
    plan, dataset = plan_request(ib, request), DATASET_BY_TASK[request.mode]
    if plan.works_queue:
        return plan
    if request.mode == DISCOVER:
        others = ("session", "gateway_event")
        left = [task.keys for task in tasks if task.dataset not in others]
        symbols = tuple(dict.fromkeys(key for keys in left for key in keys))
        return replace(plan, steps=(Step(dataset, (symbols,)),))
    groups = tuple(task.keys for task in tasks if task.keys and task.dataset == dataset)
    return replace(plan, steps=(Step(dataset, groups),) if groups else ())


def make_groups(groups: Sequence[Keys], point: Slot | Session) -> tuple[Keys, ...]:
    return tuple(tuple(make_key(symbol, point) for symbol in group) for group in groups)
