"""The scheduler as a process that stays: each minute it looks at settings and ops.schedules, as cron's line does.

APScheduler gives the minutes and keeps nothing: what is due, missed or queued is computed anew each time.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from loaders.cli.shell import explained
from loaders.errors import QuotemillError
from orchestration.schedule.jobs import Job
from orchestration.schedule.runner import Runner


class Server:
    """Looks at each full minute and at once, until its runner is told to halt. `tell` is given why nothing, or
    one of the jobs, can be started, at each look that finds it so."""

    def __init__(
        self,
        runner: Runner,
        jobs: Callable[[], Mapping[str, Job]],
        tell: Callable[[QuotemillError], object],
    ) -> None:
        self._runner, self._jobs, self._tell = runner, jobs, tell
        self._runs: list[threading.Thread] = []
        self._scheduler = BackgroundScheduler(
            timezone="UTC", executors={"default": ThreadPoolExecutor(1)}
        )

    def serve(self) -> None:
        """Until the runner's `halt`; then waits for the ends of what runs."""
        # one job, whose first look is now: one that ran but once would be removed from a scheduler that may be ending
        self._scheduler.add_job(
            self.look,
            CronTrigger(second=0, timezone="UTC"),
            next_run_time=datetime.now(UTC),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.start()
        # not in this thread, which gets the signals: a handler must not wait for a lock that it holds
        waiting = threading.Thread(target=self._runner.stop.wait)
        waiting.start()
        waiting.join()
        self._scheduler.shutdown()
        for run in self._runs:
            run.join()

    def look(self) -> None:
        """Start what is due, and come back at once; a warehouse that is away is said and asked again."""
        if self._runner.stop.is_set():
            return
        try:
            due = self._runner.due(self._jobs().values())
        except Exception as error:
            self._cannot(error, "nothing can be started")
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
            self._cannot(error, job.name)

    def _cannot(self, error: Exception, what: str) -> None:
        """Say and tell it, whatever it is: nobody else does, and the next look tries again."""
        known = explained(error)
        self._runner.say(f"{what}: {known}")
        self._tell(known)
