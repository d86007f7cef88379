"""A machine that runs the schedule for a week: its clock is moved by hand, its commands and its server are killed."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path

from loaders.ib.slots import NEW_YORK
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.tq.service import TqSandbox
from loaders.settings import load_settings
from loaders.trading_time import SHANGHAI
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli.schedule.known import takes_as_of
from orchestration.schedule import jobs, ledger
from orchestration.schedule.jobs import Job
from orchestration.schedule.runner import Runner
from tests.e2e.commands import Place

ROOT = Path(__file__).parents[2]
KILLED = 128 + signal.SIGKILL
ON_TIME, MINUTE = timedelta(0), timedelta(minutes=1)
AFTER = timedelta(seconds=30)  # a start that the schedule is looked at
JOB, SERVER, MACHINE = "the job", "the server", "the machine"


@dataclass(frozen=True)
class Kill:
    """The nth time of a moment of a command at which SIGKILL is sent: to the process group of the job, to the server
    of the warehouse, which the command outlives, or to both, with which the machine is down."""

    moment: str
    nth: int
    what: str


class Fallen(Exception):
    """The machine went down, and its runner wrote nothing of the end."""


@dataclass
class Machine:
    """`kills` is what becomes of the next command of a job that gets so far, `counting` are jobs whose next command that loads anything is counted.
    `runs` are jobs that were started, with the day in Shanghai by the true clock and the exit code; `counts` is how
    often each moment came in the commands that were counted."""

    place: Place
    settings: dict[str, str]  # of the place, to be changed
    tdx: TdxSandbox
    ib: IbSandbox
    tq: TqSandbox
    kills: dict[str, Kill] = field(default_factory=dict)
    counting: set[str] = field(default_factory=set)
    runs: list[tuple[str, str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def live(
        self,
        begin: datetime,
        until: datetime,
        events: Mapping[datetime, Callable[[], object]] | None = None,
        asleep: tuple[datetime, datetime] | None = None,
    ) -> None:
        """Look at the schedule after each start of any job, as long as it is not asleep; in between come events. The
        jobs are known from the begin on."""
        self.wake(begin)
        events = events or {}
        looks = {
            start + AFTER
            for job in self._jobs().values()
            if job.timing is not None
            for start in job.timing.starts(begin, until)
        }
        awake = {at for at in looks if asleep is None or not asleep[0] <= at < asleep[1]}
        for at in sorted(awake | set(events)):
            events.get(at, partial(self.wake, at))()

    def wake(self, at: datetime, wrong: timedelta = ON_TIME) -> None:
        """What a look at the schedule does, at a moment; the machine's own clock is wrong by so much. It is up again a
        minute after a fall, and looks again."""
        while not self._look(at, wrong):
            self.said.append(f"{at:%a %H:%M}: the machine went down")
            at += MINUTE

    def dice(self, rng: random.Random, job: str, moments: Collection[str], what: str) -> None:
        """The next command of a job gets a kill, at some moment of these that came where it was counted."""
        moment = rng.choice([m for m in moments if self.counts[job].get(m)])
        self.kills[job] = Kill(moment, rng.randint(1, self.counts[job][moment]), what)

    def _jobs(self) -> dict[str, Job]:
        settings = load_settings(self.place.environment(), cwd=self.place.folder)
        return jobs.read(settings, open_warehouse(settings).ask(ledger.rows))

    def _look(self, at: datetime, wrong: timedelta) -> bool:
        shanghai = at.astimezone(SHANGHAI).replace(tzinfo=None)
        self.tdx.set_clock(shanghai)
        self.tq.set_clock(shanghai)
        # options are quoted anew each half hour: what is captured some minutes later is the same
        quoted = at.astimezone(NEW_YORK)
        self.ib.set_clock(quoted.replace(minute=quoted.minute // 30 * 30, second=0, tzinfo=None))
        believed = (at + wrong).astimezone(UTC)
        warehouse = open_warehouse(load_settings(self.place.environment(), cwd=self.place.folder))
        runner = _Runner(warehouse, lambda: believed, self.said.append)
        runner.start = lambda job: self._carry_out(job, f"{shanghai:%a}", believed)
        try:
            for job in runner.due(self._jobs().values()):
                runner.run(job)
        except Fallen:
            return False
        return True

    def _carry_out(self, job: Job, day: str, believed: datetime) -> int:
        command = [*job.command]
        # the log has the clock of the machine that runs the tests
        if takes_as_of(job) and job.kind != "logscan":
            command += ["--as-of", believed.isoformat()]
        kill, counted = self.kills.pop(job.name, None), job.name in self.counting
        if kill is not None or counted:
            code = self._driven(job.name, command, kill)
        else:
            done = self.place.inside(*command)
            code = done.returncode
            self.said += [f"{job.name} {day}: {line}" for line in done.stderr.splitlines()[-5:]]
        self.runs.append((job.name, day, code))
        if kill is not None and kill.what == MACHINE and code == KILLED:
            raise Fallen
        return code

    def _driven(self, name: str, command: list[str], kill: Kill | None) -> int:
        report = self.place.home / "moments"
        moment, nth = (kill.moment, kill.nth) if kill else ("none", 0)
        server = embedded.running(self.place.home)
        assert server is not None
        victims = {JOB: "0", SERVER: f"{server.pid}", MACHINE: f"{server.pid},0"}
        own = {"PYTHONPATH": str(ROOT), "FAULTS_VICTIM": victims[kill.what] if kill else "0"}
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.week_driver", report, moment, str(nth), *command],
            cwd=self.place.folder,
            env=self.place.environment() | own,
            capture_output=True,
            text=True,
            timeout=400,
            start_new_session=True,
        )
        if kill is None:
            assert done.returncode == 0, done.stderr
            if counts := json.loads(report.read_text()):  # else it had nothing to load
                self.counts[name] = counts
                self.counting.discard(name)
            return 0
        if done.returncode == 0:
            came = json.loads(report.read_text()).get(moment, 0)
            if came < nth:  # on this day the job has less to load than on the one that was counted
                self.said.append(f"spared: {kill.what} in {name}, {moment}, {came} of {nth}")
                self.kills[name] = Kill(moment, max(came, 1), kill.what)
                return 0
        self.said.append(f"killed: {kill.what} in {name}, {moment}, {nth}")
        expected = 0 if kill.what == SERVER else -signal.SIGKILL
        assert done.returncode == expected, f"{kill}: {done.returncode} {done.stderr[-2000:]}"
        return KILLED if done.returncode else 0


class _Runner(Runner):
    """Its commands are started by the machine."""

    start: Callable[[Job], int]

    def _child(self, job: Job, lock: int, run_id: str) -> int:
        return self.start(job)


def moment_of(monday: datetime, weekday: int, clock: str) -> datetime:
    """A clock of a weekday, from Monday, 0, in the zone of a Monday."""
    day = monday.date() + timedelta(days=weekday)
    return datetime.combine(day, time.fromisoformat(clock), monday.tzinfo)
