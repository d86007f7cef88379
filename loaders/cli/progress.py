"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from loaders.cli.shell import route_logs, wrap_line
from loaders.engine.progress import format_duration, print_line

EVERY = 10.0  # seconds between two plain lines of one dataset
ENOUGH = 10  # keys until a rate says when the rest is done


class _Left(ProgressColumn):
    """Time left, once enough is done to tell, and while keys advance."""

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        is_known = left and task.completed >= ENOUGH and not task.fields["is_held"]
        return Text(f"{format_duration(left)} left" if left and is_known else "")


class _Step(ProgressColumn):
    """The time so far of all, or of a dataset whose steps are named, and the step."""

    def render(self, task: Task) -> Text:
        step = task.fields["step"]
        is_timed = step or task.fields["is_all"]
        time = format_duration(task.elapsed or 0) if is_timed else ""
        return Text(f"{time}  {step:.30}".strip())


class _Bars(Progress):
    """Bars that leave room for a ^C, which would wrap the last line and leave one behind."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self.make_tasks_table(self.tasks)
        yield from console.render(table, options.update_width(options.max_width - len("^C") - 1))

    def get_renderable(self) -> Self:
        return self


class Terminal:
    """Bars with rate and time left, for each dataset and over all of several."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = _Bars(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[rate]}"),
            _Left(),
            _Step(),
            console=self._console,
            transient=True,
            # the answer of a command stays there, whenever the bars end
            redirect_stdout=False,
        )
        self._all = self._add_row("", total=None, is_all=True, visible=False)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def line(self, text: str) -> None:
        self._console.print(wrap_line(text, self._console.width), markup=False, soft_wrap=True)

    def step(self, text: str) -> None:
        if self._tasks:
            self._progress.update([*self._tasks.values()][-1], step=text)
        else:
            self._progress.update(self._all, description=text, visible=True)

    def hold(self, text: str) -> None:
        self.step(text)
        for number in self._progress.task_ids:
            self._progress.update(number, is_held=bool(text))

    def start(self, dataset: str, total: int) -> None:
        if dataset not in self._tasks:
            self._tasks[dataset] = self._add_row(dataset, total=0)
        is_one_of_several = len(self._tasks) > 1
        self._progress.update(self._all, description="all", visible=is_one_of_several)
        self._count(dataset, total, 0)

    def advance(self, dataset: str, keys: int) -> None:
        self._count(dataset, 0, keys)

    def _add_row(
        self, name: str, *, total: int | None, is_all: bool = False, visible: bool = True
    ) -> TaskID:
        fields: dict[str, Any] = {"step": "", "count": "", "rate": ""}
        fields |= {"is_all": is_all, "is_held": False}
        return self._progress.add_task(name, total=total, visible=visible, **fields)

    def _count(self, dataset: str, more: int, done: int) -> None:
        """Add to the keys of a dataset and of all, and to those that are done."""
        for number in (self._tasks[dataset], self._all):
            task = self._progress.tasks[self._progress.task_ids.index(number)]
            total, completed = (task.total or 0) + more, task.completed + done
            rate = f"{task.speed:,.0f}/s" if task.speed else ""
            count = f"{completed:,.0f}/{total:,.0f}"
            self._progress.update(number, total=total, completed=completed, count=count, rate=rate)


class Lines:
    """Plain lines for logs: one of each dataset every few seconds, and one at its end."""

    def __init__(self) -> None:
        self._total: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._reported: dict[str, float] = {}
        self._advanced = time.monotonic()
        self._step = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def line(self, text: str) -> None:
        print_line(text)

    def step(self, text: str) -> None:
        self._step = text

    def hold(self, text: str) -> None: ...

    def start(self, dataset: str, total: int) -> None:
        self._total[dataset] = self._total.get(dataset, 0) + total
        self._done.setdefault(dataset, 0)
        self._advanced = time.monotonic()
        self._step = ""

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
        seconds = now - self._started[dataset]
        rate = done / max(seconds, 1e-3)
        is_known = ENOUGH <= done < total
        left = f", {format_duration((total - done) / rate)} left" if is_known else ""
        step = f", after {format_duration(seconds)} in {self._step}" if self._step else ""
        self.line(f"{dataset}: {done:,} of {total:,} ({rate:,.1f}/s{left}){step}")


def reporter() -> Terminal | Lines:
    """The progress display that fits stderr; the loaders' warnings go there too."""
    display = Terminal() if sys.stderr.isatty() else Lines()
    route_logs(display.line)
    return display
