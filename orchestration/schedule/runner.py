"""Start what is due: each job as a process, with a lock, a deadline and a record."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from loaders import log
from loaders.engine.signals import wait_for_end
from loaders.files.process import FORCED, end_group
from orchestration.run import history as runs
from orchestration.schedule import due, ledger, output
from orchestration.schedule.due import Decision
from orchestration.schedule.jobs import Job
from quotemill.errors import INTERRUPTED, LockHeldError, PartialError, SettingsError, most_severe
from quotemill.installation import install_hint
from quotemill.warehouse.postgres import Warehouse

# seconds a process gets to end after each signal; a load finishes its batch at the first
ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGTERM, 10.0), (FORCED, None))
HOLD_POLL = 0.2  # seconds between two checks whether the run's lock is held


@dataclass
class Runner:
    """Runs jobs until `stop` is set, then ends the running ones.

    clock: the time, UTC
    as_of: a time given by hand, passed to the commands that take it
    after: called after each run of a job, in its thread

    Each run is recorded with an id that its process and everything it starts share.
    """

    warehouse: Warehouse
    clock: Callable[[], datetime]
    say: Callable[[str], object]
    takes_as_of: Callable[[Job], bool] = lambda _: False
    as_of: str | None = None
    after: Callable[[Job], object] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    _wakes: set[threading.Event] = field(default_factory=set)

    def list_due(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs that may have something to start now."""
        now = self.clock()
        rows = self.warehouse.ask(lambda conn: ledger.read_rows(conn, None if self.as_of else now))
        known = {row.name: row for row in rows}
        return [job for job in jobs if due.may_be_due(known.get(job.name), job, now)]

    def run_all(self, jobs: Iterable[Job], *, forced: bool = False, says_why: bool = False) -> int:
        """Run the due ones of `jobs` in parallel, as `run` does; return the worst exit code."""
        chosen = list(jobs)
        # signals come to the main thread, which therefore only waits
        with ThreadPoolExecutor(max(1, len(chosen))) as pool:
            runs = [pool.submit(self.run, job, forced, says_why) for job in chosen]
            for run in runs:
                wait_for_end(run)
        return most_severe(run.result() for run in runs)

    def halt(self) -> None:
        """Start nothing more and end the running jobs; safe in a signal handler."""
        self.stop.set()
        for wake in tuple(self._wakes):
            wake.set()

    def run(self, job: Job, forced: bool = False, says_why: bool = False) -> int:
        """Run a job if it is due or `forced`, then what came meanwhile; return the worst exit code.

        A start that is due while the job still runs is skipped or waits; a forced one is refused.
        If nothing is started that is 0, and `says_why` says why.
        """
        codes: list[int] = []
        output.rotate_logs(self.warehouse.home / "logs")
        while not self.stop.is_set():
            run_id = log.new_run_id()
            # before it is on record, so that nobody takes it for one that was cut off
            alive = runs.take_lock(self.warehouse, run_id)
            assert alive is not None, "the id is new"
            with alive:
                claim = self._claim(job, run_id, forced, is_first=not codes)
                if claim.start is None:
                    if not codes and (forced or says_why or not claim.is_idle):
                        self.say(f"{job.name}: {claim.why}")
                    if not codes and forced:
                        return LockHeldError.exit_code
                    break
                codes.append(self._start(job, claim, run_id, alive))
        return most_severe(codes)

    def _claim(self, job: Job, run_id: str, forced: bool, *, is_first: bool) -> Decision:
        now = self.clock()
        dated = datetime.now(UTC) if self.as_of else None
        return self.warehouse.ask(
            lambda conn: ledger.claim_start(
                conn,
                job,
                now,
                run_id=run_id,
                dated=dated,
                forced=forced and is_first,
                # after a run only a start that a scheduler has written down: not by hand, nor
                # where an uninstall withdrew it meanwhile
                is_check=is_first and not forced,
            )
        )

    def _start(self, job: Job, claim: Decision, run_id: str, alive: psycopg.Connection) -> int:
        """Run the job once and record how it ended."""
        assert claim.start is not None
        why = f", {claim.why}" if claim.why else ""
        self.say(f"{job.name}: `{' '.join(job.command)}` for {claim.start:%Y-%m-%dT%H:%MZ}{why}")
        with runs.recorded(
            self.warehouse, job.text, run_id=run_id, schedule=job.name, lock=alive
        ) as run:
            try:
                code = self._run_process(job, run, alive)
            except SettingsError as error:
                self.say(f"{job.name}: {error}")
                code = error.exit_code
            ended = self.clock()
            run.end(code, at=None if self.as_of else ended)
            # before the end is on record: a kill between leaves a run that was cut off
            self.warehouse.ask(lambda conn: ledger.plan_retry(conn, job, code, ended))
        self.say(f"{job.name}: ended with {code}")
        self.after(job)
        return code

    def _run_process(self, job: Job, run: runs.Run, alive: psycopg.Connection) -> int:
        command = [str(executable(job.command[0])), *job.command[1:]]
        if self.as_of and self.takes_as_of(job):
            command += ["--as-of", self.as_of]
        # the child shares the lock's connection: the run lives until both have ended
        process = subprocess.Popen(
            command,
            env=os.environ | runs.environment(run.run_id, job.name),
            pass_fds=(alive.fileno(),),
            start_new_session=True,
        )
        ended, wake = threading.Event(), threading.Event()

        def wait() -> None:
            process.wait()
            ended.set()
            wake.set()

        threading.Thread(target=wait, daemon=True).start()
        self._wakes.add(wake)
        until = time.monotonic() + job.deadline * 60
        while not (self.stop.is_set() or ended.is_set()) and time.monotonic() < until:
            wake.wait(HOLD_POLL)
            run.hold()
        if not self.stop.is_set() and not ended.is_set():
            self.say(
                f"{job.name}: stopped: still running after its deadline of {job.deadline} minutes"
            )
        self._wakes.discard(wake)
        if not ended.is_set():
            end_group(process, ENDINGS)
            return INTERRUPTED if self.stop.is_set() else PartialError.exit_code
        return process.returncode if process.returncode >= 0 else 128 - process.returncode


def executable(program: str) -> Path:
    """The path of a program of ours beside the running interpreter. Raises SettingsError."""
    beside = Path(sys.executable).with_name(program)
    path = str(beside) if beside.is_file() else shutil.which(program)
    if path is None:
        raise SettingsError(
            f"{program} is neither next to {sys.executable} nor on PATH",
            hint=f"Install quotemill into an environment: {install_hint()}.",
        )
    return Path(path)
