"""The result of a load."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from loaders import log
from loaders.engine.jobs import Task
from loaders.engine.progress import format_counts
from quotemill.errors import LockHeldError, NotDue, QuotemillError

if TYPE_CHECKING:
    from loaders.engine.load import Load

REASONS_LOGGED = 100  # of a task, in the log
NOT_DUE = "not due"  # status of a load for which there was nothing to do


@dataclass(frozen=True)
class LoadResult:
    """The result of a load. `status` is that of its job; `exit_code` follows from it.

    `counts`: requests, bytes of their answers, retries, fallbacks to another route, refused rows,
    keys stored elsewhere.
    """

    job_id: int | None  # None: skipped, before there was a job
    source: str
    status: str
    exit_code: int
    tasks: tuple[Task, ...]
    warnings: tuple[str, ...]
    error: str | None
    hint: str
    seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)
    # a day without a session, after one that was loaded whole: what is not built yet still builds
    is_resting: bool = False
    # every key that failed had failed before, or is acknowledged
    is_standing: bool = False

    def total(self, name: str) -> int:
        return sum(getattr(task, name) for task in self.tasks)

    @property
    def ends_source(self) -> bool:
        """Whether a further part of the same source would only fail again."""
        return self.status == "failed" and self.exit_code != LockHeldError.exit_code

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do."""
        return self.status == NOT_DUE

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "tasks": [
                {k: v for k, v in asdict(task).items() if k != "keys"}
                | {"rows_unchanged": task.rows_unchanged}
                for task in self.tasks
            ]
        }

    def summary(self) -> Iterator[str]:
        """The figures of the load in a few lines."""
        for dataset in dict.fromkeys(task.dataset for task in self.tasks):
            tasks = [task for task in self.tasks if task.dataset == dataset]
            keys = {
                "done": sum(t.done for t in tasks),
                "skipped": sum(t.skipped for t in tasks),
                "failed": sum(len(t.failures) for t in tasks),
            }
            rows = {
                word: sum(getattr(t, f"rows_{word}") for t in tasks)
                for word in ("new", "changed", "unchanged", "rejected")
            }
            read = f"; rows: {format_counts(rows)}" if any(rows.values()) else ""
            yield f"{dataset:<21} {format_counts(keys) or 'no keys'}{read}"
        written = self.total("rows_new") + self.total("rows_changed") + self.counts.get("stored", 0)
        if self.tasks and self.status == "succeeded" and not written:
            yield "nothing new: no rows were written"
        if self.total("rows_rejected"):
            yield f"rejected rows: see `quotemill findings` and raw_{self.source}.rejected_row"
        if self.error:
            yield f"error: {self.error}"
        if self.hint:
            yield f"fix: {self.hint}"
        if self.job_id is not None:
            yield f"load {self.job_id} {self.status} in {self.seconds:.1f} s"


def skipped(source: str, *reasons: str) -> LoadResult:
    """The result of a load that another one replaces."""
    return LoadResult(None, source, "skipped", 0, (), reasons, None, "", 0.0)


def not_due(source: str, why: NotDue, *, is_resting: bool = False) -> LoadResult:
    """The result of a load for which there is nothing to do at its time."""
    log.write("info", f"nothing is due: {why}", source=source)
    return LoadResult(
        None, source, NOT_DUE, 0, (), (str(why),), None, "", 0.0, is_resting=is_resting
    )


def stopped(source: str, error: QuotemillError) -> LoadResult:
    """The result of a load that an error ended before it had a result."""
    return LoadResult(None, source, "failed", error.exit_code, (), (), str(error), error.hint, 0.0)


def log_end(load: "Load", status: str, error: str | None, seconds: float) -> None:
    """Log the end of a job: why keys failed, by reason, and its figures."""
    for task in load.tasks:
        by_reason: dict[str, list[str]] = {}
        for key, reason in task.failures.items():
            by_reason.setdefault(reason, []).append(key)
        for reason, keys in islice(by_reason.items(), REASONS_LOGGED):
            event = f"{task.dataset}: {len(keys):,} of {len(task.keys):,} failed: {reason}"
            only = keys[0] if len(keys) == 1 else None
            load.note("warning", event, {"keys": keys[:5]}, task.task_no, only)
    levels = {"succeeded": "info", "cancelled": "info", "partial": "warning"}
    figures = {
        "seconds": round(seconds, 2),
        **{
            name: sum(getattr(task, name) for task in load.tasks)
            for name in ("done", "skipped", "rows_new", "rows_changed")
        },
    }
    event = f"load {load.job_id} {status}" + (f": {error}" if error else "")
    load.note(levels.get(status, "error"), event, figures)
