"""A scheduler that stays running: reads settings and ops.schedules each minute, like cron's line.

APScheduler only wakes it: what is due, missed or queued is computed each time.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from loaders import log
from loaders.errors import QuotemillError
from orchestration.schedule.jobs import Job
from orchestration.schedule.runner import Runner


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
        self._scheduler = BackgroundScheduler(
            timezone="UTC", executors={"default": ThreadPoolExecutor(1)}
        )

    def serve(self) -> None:
        """Serve until the runner's `halt`, then wait until the running jobs end."""
        # one repeating job: a single-shot first check could be removed while the scheduler ends
        self._scheduler.add_job(
            self.check,
            CronTrigger(second=0, timezone="UTC"),
            next_run_time=datetime.now(UTC),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.start()
        # wait in another thread: this one gets the signals, and a handler must not need its lock
        waiting = threading.Thread(target=self._runner.stop.wait)
        waiting.start()
        waiting.join()
        self._scheduler.shutdown()
        for run in self._runs:
            run.join()

    def check(self) -> None:
        """Start what is due without waiting for it; a warehouse that is away is asked again."""
        if self._runner.stop.is_set():
            return
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
