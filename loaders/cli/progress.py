"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from loaders.cli.shell import route_logs

EVERY = 10.0  # seconds between two plain lines of one dataset


class Terminal:
    """Bars with rate and time left, for each dataset and over all of them."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._all = self._progress.add_task("all", total=0, rate="")
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def start(self, dataset: str, total: int) -> None:
        if dataset not in self._tasks:
            self._tasks[dataset] = self._progress.add_task(dataset, total=0, rate="")
        for task in (self._tasks[dataset], self._all):
            before = self._progress.tasks[self._progress.task_ids.index(task)].total or 0
            self._progress.update(task, total=before + total)

    def advance(self, dataset: str, keys: int) -> None:
        for task in (self._tasks[dataset], self._all):
            speed = self._progress.tasks[self._progress.task_ids.index(task)].speed
            self._progress.update(task, advance=keys, rate=f"{speed:,.0f}/s" if speed else "")


class Lines:
    """Plain lines for logs: one of each dataset every few seconds, and one at its end."""

    def __init__(self) -> None:
        self._total: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._reported: dict[str, float] = {}
        self._advanced = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def start(self, dataset: str, total: int) -> None:
        self._total[dataset] = self._total.get(dataset, 0) + total
        self._done.setdefault(dataset, 0)
        self._advanced = time.monotonic()

    def advance(self, dataset: str, keys: int) -> None:
        # datasets follow each other: this one started when the one before last advanced
        self._started.setdefault(dataset, self._advanced)
        self._reported.setdefault(dataset, self._advanced)
        self._advanced = time.monotonic()
        self._done[dataset] += keys
        now, done, total = time.monotonic(), self._done[dataset], self._total[dataset]
        if done < total and now - self._reported[dataset] < EVERY:
            return
        self._reported[dataset] = now
        rate = done / max(now - self._started[dataset], 1e-3)
        left = f", {(total - done) / rate:,.0f} s left" if 0 < done < total else ""
        self.line(f"{dataset}: {done:,} of {total:,} ({rate:,.1f}/s{left})")


def reporter() -> Terminal | Lines:
    """The progress display that fits stderr; the loaders' warnings go there too."""
    display = Terminal() if sys.stderr.isatty() else Lines()
    route_logs(display.line)
    return display
