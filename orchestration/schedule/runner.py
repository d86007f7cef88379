"""Starts what is due: each job as a process of its own, with a lock, a deadline and a record."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from loaders import log
from loaders.errors import LockHeldError, PartialError, SettingsError, gravest
from loaders.warehouse.embedded.places import unusable
from loaders.warehouse.postgres import Warehouse
from orchestration.run import history as runs
from orchestration.schedule import ledger, output
from orchestration.schedule.jobs import Job

INTERRUPTED = 128 + signal.SIGINT
LOOK_AGAIN = 60.0  # seconds: a clock may be set while a start is waited for
# seconds that a process is given to end after each of these: a load finishes what is in hand at the first
ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, None))


@dataclass
class Runner:
    """Runs jobs until `stop` is set, then ends what runs. `clock` gives the moment (UTC); `as_of`, where it
    was given by hand, is handed on to the commands that take it, and nothing waits for it. Each run is on record
    with an id, of which its process and all that it starts are a part."""

    warehouse: Warehouse
    clock: Callable[[], datetime]
    say: Callable[[str], object]
    takes_as_of: Callable[[Job], bool] = lambda _: False
    as_of: str | None = None
    after: Callable[[Job], object] = lambda _: None  # each run of a job, in its thread
    stop: threading.Event = field(default_factory=threading.Event)
    _wakes: set[threading.Event] = field(default_factory=set)

    def due(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs that may have something to start now."""
        now = self.clock()
        known = {row.name: row for row in self.warehouse.ask(ledger.rows)}
        return [job for job in jobs if ledger.waiting(known.get(job.name), job, now)]

    def run_all(self, jobs: Iterable[Job]) -> int:
        """Run jobs side by side, as far as they are due; the gravest exit code once all have ended."""
        chosen = list(jobs)
        # signals come to the main thread, which therefore only waits
        with ThreadPoolExecutor(max(1, len(chosen))) as pool:
            runs = [pool.submit(self.run, job) for job in chosen]
        return gravest(run.result() for run in runs)

    def run_one(self, job: Job, *, forced: bool = False) -> int:
        """Run a job that is asked for by its name: also where it begins within its jitter, and with `forced` in any
        case. Says so where it is not due."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._run_one, job, forced).result()

    def halt(self) -> None:
        """Start nothing more, and end what runs; safe in a signal's handler of a thread that waits."""
        self.stop.set()
        for wake in tuple(self._wakes):
            wake.set()

    def run(self, job: Job) -> int:
        """Run a job if it is due, and what is queued behind it; 0 where nothing is. A start while it still runs is
        left out or queued."""
        code, last = self._run(job, forced=False)
        if not last.is_idle:
            self.say(f"{job.name}: {last.why}")
        return code

    def _run_one(self, job: Job, forced: bool) -> int:
        while True:
            code, last = self._run(job, forced)
            if last.why:
                self.say(f"{job.name}: {last.why}")
            if last.begins_at is None or self.as_of or self.stop.is_set():
                return code
            wait = (last.begins_at - self.clock()).total_seconds()
            self.stop.wait(min(wait, LOOK_AGAIN))

    def _run(self, job: Job, forced: bool) -> tuple[int, ledger.Taken]:
        """The gravest exit code, and what is to be said where nothing was started."""
        codes: list[int] = []
        with self._lock(job) as lock:
            # who asks for it now gets none; a start that is due stays due
            if lock is None and forced:
                return LockHeldError.exit_code, ledger.Taken(why="it runs already")
            if lock is None:
                return 0, self.warehouse.ask(lambda conn: ledger.turn_away(conn, job, self.clock()))
            output.trim(self.warehouse.home / "logs")
            while not self.stop.is_set():
                taken = self._take(job, forced and not codes)
                if taken.start is None:
                    return gravest(codes), ledger.Taken() if codes else taken
                codes.append(self._start(job, taken, lock))
        return gravest(codes), ledger.Taken()

    def _take(self, job: Job, forced: bool) -> ledger.Taken:
        return self.warehouse.ask(lambda conn: ledger.take(conn, job, self.clock(), forced=forced))

    def _start(self, job: Job, taken: ledger.Taken, lock: int) -> int:
        """Run it once, and write down how it ended."""
        assert taken.start is not None
        why = f", {taken.why}" if taken.why else ""
        self.say(f"{job.name}: `{' '.join(job.command)}` for {taken.start:%Y-%m-%dT%H:%MZ}{why}")
        ours = job.command[1:] if job.command[0] == "quotemill" else job.command
        run_id = log.new_run_id()
        with runs.recorded(self.warehouse, " ".join(ours), run_id=run_id, schedule=job.name) as run:
            try:
                code = self._child(job, lock, run_id)
            except SettingsError as error:
                self.say(f"{job.name}: {error}")
                code = error.exit_code
            run.end(code)
        self.say(f"{job.name}: ended with {code}")
        self.warehouse.ask(lambda conn: ledger.finish(conn, job, code, self.clock()))
        self.after(job)
        return code

    def _child(self, job: Job, lock: int, run_id: str) -> int:
        command = [str(executable(job.command[0])), *job.command[1:]]
        if self.as_of and self.takes_as_of(job):
            command += ["--as-of", self.as_of]
        # the lock is the child's too: what outlives this process is not started twice
        process = subprocess.Popen(
            command,
            env=os.environ | runs.environment(run_id, job.name),
            pass_fds=(lock,),
            start_new_session=True,
        )
        over, wake = threading.Event(), threading.Event()

        def wait() -> None:
            process.wait()
            over.set()
            wake.set()

        threading.Thread(target=wait, daemon=True).start()
        self._wakes.add(wake)
        if not self.stop.is_set() and not wake.wait(job.deadline * 60):
            self.say(f"{job.name}: still at work after {job.deadline} minutes: it is stopped")
        self._wakes.discard(wake)
        if not over.is_set():
            _end(process, over)
            return INTERRUPTED if self.stop.is_set() else PartialError.exit_code
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    @contextlib.contextmanager
    def _lock(self, job: Job) -> Iterator[int | None]:
        """The lock of a job on this machine, as a file's descriptor; None where it is taken."""
        from loaders.warehouse.migrate import warehouse_id  # its tables import pyarrow

        name = f"{warehouse_id(self.warehouse)}-{quote(job.name, safe=' ')}.lock"
        folder = self.warehouse.home / "schedule"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(folder / name, os.O_RDONLY | os.O_CREAT, 0o644)
        except OSError as error:
            raise unusable(folder, error) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = True
        except BlockingIOError:
            is_ours = False
        try:
            yield file if is_ours else None
        finally:
            os.close(file)


def _end(process: "subprocess.Popen[bytes]", over: threading.Event) -> None:
    """Ask a process, and all that it started, to end; then insist."""
    for sent, seconds in ENDINGS:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        if over.wait(seconds):
            return


def executable(program: str) -> Path:
    """One of our two programs, beside the interpreter that runs now. Raises SettingsError."""
    beside = Path(sys.executable).with_name(program)
    found = str(beside) if beside.is_file() else shutil.which(program)
    if found is None:
        raise SettingsError(
            f"{program} is neither beside {sys.executable} nor in PATH",
            hint="install quotemill into an environment: pip install quotemill",
        )
    return Path(found)
