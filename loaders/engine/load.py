"""A running load, as its source and its tasks see it."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from loaders import log
from loaders.engine import jobs
from loaders.engine.jobs import Task
from loaders.engine.packages import Packages
from loaders.engine.progress import Reporter
from loaders.engine.request import LoadRequest
from loaders.settings import Settings
from loaders.warehouse import lock as locks
from quotemill.errors import QuotemillError
from quotemill.warehouse.postgres import Warehouse, WarehouseAway


@dataclass(frozen=True)
class Load:
    """A running load: what a source needs besides its own client.

    passing: datasets whose keys name moments: what failed of them is not recorded to be repaired
    """

    source: str
    passing: frozenset[str]
    settings: Settings
    request: LoadRequest
    warehouse: Warehouse
    packages: Packages
    lock: locks.LoadLock
    watch: locks.Watch
    job_id: int
    clock: Callable[[], datetime]
    reporter: Reporter
    # the time that replaces every clock, where one was given
    as_of: datetime | None = None
    # the tasks of the job that is retried, each with the keys that are left
    retried: Sequence[Task] | None = None
    tasks: list[Task] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[QuotemillError] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    holds: dict[str, str] = field(default_factory=dict)
    # the time of the source, UTC, where that is not this machine's
    source_times: list[datetime] = field(default_factory=list)

    @property
    def content(self) -> str:
        """What the warehouse held as the load began (loaders.warehouse.content)."""
        return self.packages.content

    @property
    def gone(self) -> QuotemillError | None:
        """The error that ended the source."""
        return self.errors[-1] if self.errors else None

    def give_up(self, error: QuotemillError) -> None:
        """Ask the source for nothing any more."""
        self.errors.append(error)

    def interrupt(self) -> None:
        """Stop after the current batch."""
        self.watch.stop()

    def stopping(self) -> bool:
        """Whether the load must end: stopped, cancelled, or the source is gone."""
        return self.gone is not None or self.cancelling()

    def cancelling(self) -> bool:
        """Whether somebody asked the load to stop. Raises LockHeldError where the lock was lost."""
        return self.watch.asked()

    def end_task(self, task: Task) -> None:
        """Stop here where somebody asked to stop after this task, or an earlier one."""
        if self.watch.last_task is not None and task.task_no >= self.watch.last_task:
            self.watch.stop()

    def progress(self) -> tuple[int, int] | None:
        """The number of the running task, and how many of its keys have an answer."""
        running = (task for task in self.tasks if task.status == "running")
        return next(((task.task_no, task.reached) for task in running), None)

    def hold(self, by: str, text: str = "") -> None:
        """Say why no key advances, to the terminal and to all who watch; empty: they do again.

        by: of what; the first that holds is shown
        """
        self.holds[by] = text
        shown = next(filter(None, self.holds.values()), "")
        self.watch.held_by = shown or None
        self.reporter.hold(shown)

    def room(self) -> bool:
        """Whether the current package takes another key."""
        return self.packages.has_room()

    def warn(self, text: str) -> None:
        """Print a warning and write it to the job's log."""
        self.warnings.append(text)
        self.reporter.line(f"warning: {text}")
        self.log("warning", text, {})

    def log(
        self, level: str, event: str, detail: Mapping[str, Any], task_no: int | None = None
    ) -> None:
        """Write to the job's log. A fetch is not lost because the warehouse is away."""
        self.note(level, event, detail, task_no)
        with contextlib.suppress(WarehouseAway):
            jobs.write_log(self.warehouse, self.content, self.job_id, level, event, detail, task_no)

    def note(
        self,
        level: str,
        event: str,
        detail: Mapping[str, Any] | None = None,
        task_no: int | None = None,
        code: str | None = None,
    ) -> None:
        """Write to the log of commands alone."""
        log.write(
            level,
            event,
            source=self.source,
            job=self.job_id,
            task=task_no,
            dataset=self.tasks[task_no - 1].dataset if task_no else None,
            code=code,
            detail=detail,
            source_at=self.source_times[-1] if self.source_times else None,
        )

    def accepts_loss(self, dataset: str, loss: str) -> bool:
        """Whether the request takes a loss that a guard would refuse; if so it is recorded."""
        if not self.request.accepts_loss_of(dataset):
            return False
        text = f"{dataset}: accepted by {jobs.requester()}: {loss}"
        if text not in self.warnings:
            self.warn(text)
        return True

    def cursors(self, resource: str) -> dict[str, str]:
        """The cursors of a landed table, by key."""
        return self.packages.cursors(resource)

    def save(self, task: Task) -> None:
        stores = task.dataset not in self.passing
        jobs.save_task(self.warehouse, self.content, self.job_id, task, stores_failures=stores)

    def add_task(self, dataset: str, keys: Sequence[str], exchange: str | None = None) -> Task:
        task = Task(len(self.tasks) + 1, dataset, exchange, tuple(keys))
        self.tasks.append(task)
        self.save(task)
        return task
