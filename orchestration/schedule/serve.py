"""A scheduler that stays running: checks each minute, as cron's line does."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from loaders import log
from loaders.engine.signals import wait_for_end
from orchestration.schedule.jobs import Job
from orchestration.schedule.runner import Runner
from quotemill.errors import QuotemillError


class Server:
    """Checks at once and at each full minute until its runner halts.

    `report` gets the error at each check that cannot start anything, or one of the jobs.
    """

    def __init__(
        self,
        runner: Runner,
        jobs: Callable[[], Mapping[str, Job]],
        report: Callable[[QuotemillError], object],
    ) -> None:
        self._runner, self._jobs, self._report = runner, jobs, report
        self._runs: list[threading.Thread] = []

    def serve(self) -> None:
        """Serve until the runner's `halt`, then wait until the running jobs end."""
        # not in this thread: it gets the signals, and a handler must not need a lock that it holds
        with ThreadPoolExecutor(1) as pool:
            wait_for_end(pool.submit(self._check_each_minute))
        for run in self._runs:
            run.join()

    def check(self) -> None:
        """Start what is due without waiting for it; a warehouse that is away is asked again."""
        try:
            due = self._runner.list_due(self._jobs().values())
        except Exception as error:
            self._fail(error, "nothing can be started")
            return
        self._runs = [run for run in self._runs if run.is_alive()]
        for job in due:
            run = threading.Thread(target=self._run, args=(job,), name=job.name)
            self._runs.append(run)
            run.start()

    def _check_each_minute(self) -> None:
        stop = self._runner.stop
        while not stop.is_set():
            self.check()
            stop.wait(60 - time.time() % 60)

    def _run(self, job: Job) -> None:
        try:
            self._runner.run(job)
        except Exception as error:
            self._fail(error, job.name)

    def _fail(self, error: Exception, what: str) -> None:
        """Print and report an error; the next check tries again."""
        known = log.explain(error)
        self._runner.say(f"{what}: {known}")
        self._report(known)
