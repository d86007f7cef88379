"""A build as it is shown: how far dbt is, by its events, and an end by Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psycopg

from loaders.engine import signals
from loaders.engine.progress import Reporter
from loaders.loads import Display
from orchestration.run.build_record import BuildRecord
from quotemill.errors import QuotemillError

EVERY = 1.0  # seconds between two records of the progress


class NodeProgress:
    """Counts the models, seeds, snapshots and tests that dbt has done, of those that it chose.

    Prints the warnings of our macros, such as a relation that is dropped or left over.
    A callback of dbt, which its threads call with every event.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._turn = threading.Lock()
        self._total = self._done = 0
        self._running: dict[str, str] = {}  # names by id, the one that runs longest first

    @property
    def state(self) -> tuple[int, int, str | None]:
        """What is done, of how many, and the one that runs longest."""
        return self._done, self._total, next(iter([*self._running.values()]), None)

    def __call__(self, event: Any) -> None:
        name = event.info.name
        if name == "ConcurrencyLine":
            self._announce(event.data.node_count)
        elif name == "LogStartLine":
            with self._turn:
                self._announce(event.data.total)  # with the unit tests of models
                self._running[event.data.node_info.unique_id] = event.data.node_info.node_name
                self._name_longest()
        elif name == "NodeFinished" and event.data.node_info.materialized != "ephemeral":
            with self._turn:
                self._running.pop(event.data.node_info.unique_id, None)
                self._name_longest()
                self._done += 1
                self._reporter.advance("build", 1)
        elif name == "JinjaLogWarning":
            self._reporter.line(f"build: {event.data.msg}")

    def _announce(self, total: int) -> None:
        if total > self._total:
            self._reporter.start("build", total - self._total)
            self._total = total

    def _name_longest(self) -> None:
        self._reporter.step(next(iter(self._running.values()), ""))


@contextlib.contextmanager
def recorded(progress: NodeProgress, record: BuildRecord) -> Iterator[None]:
    """Record every second how far a build is, for who watches it from elsewhere."""
    end = threading.Event()

    def write() -> None:
        written = progress.state
        while not end.wait(EVERY):
            if (state := progress.state) != written:
                # a server that is away is the build's own trouble
                with contextlib.suppress(QuotemillError, psycopg.Error):
                    record.write_progress(*state)
                    written = state

    thread = threading.Thread(target=write, name="build progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@contextlib.contextmanager
def stoppable(display: Display) -> Iterator[Reporter]:
    """Show a build that Ctrl-C stops with one line; pressed again, it ends this process at once.

    dbt ends its queries at the first. A server that does not answer may keep it from that, in code
    that no exception interrupts.
    """
    was_stopped = False
    with contextlib.ExitStack() as shown:
        reporter = shown.enter_context(display())

        def stop(*_: object) -> None:
            nonlocal was_stopped
            was_stopped = True
            shown.close()  # bars hide the cursor, and a process that is killed shows it no more
            reporter.line(
                "Stopping the build. The same command completes it. "
                "Press Ctrl-C again to end at once"
            )
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise KeyboardInterrupt

        with signals.handled({signal.SIGINT: stop}):
            try:
                yield reporter
            except Exception:
                if was_stopped:  # what dbt met while it ended its queries
                    raise KeyboardInterrupt from None
                raise
