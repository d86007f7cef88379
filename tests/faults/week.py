"""A machine that runs the schedule for a week on a clock of ours, with its commands killed."""

import json
import random
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial

from loaders.ib.slots import NEW_YORK
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.tq.service import TqSandbox
from loaders.settings import load_settings
from loaders.trading_time import SHANGHAI
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli.schedule.jobs import takes_as_of
from orchestration.schedule import jobs, ledger
from orchestration.schedule.jobs import Job
from orchestration.schedule.runner import Runner
from quotemill.errors import SettingsError
from tests.e2e.commands import Place
from tests.faults.scene import drive

KILLED = 128 + signal.SIGKILL
ON_TIME, MINUTE = timedelta(0), timedelta(minutes=1)
AFTER = timedelta(seconds=30)  # between a start and the check of the schedule
JOB, SERVER, MACHINE = "the job", "the server", "the machine"


@dataclass(frozen=True)
class Kill:
    """SIGKILL at the nth call of a point of a command.

    It goes to the process group of the job, to the server of the warehouse, which the command
    outlives, or to both: then the machine is down.
    """

    point: str
    nth: int
    what: str


class MachineDown(Exception):
    """The machine went down, and its runner wrote nothing of the end."""


@dataclass
class Machine:
    """A home with its services, and the jobs of its schedule.

    `kills`: by job, the kill of its next command that gets so far.
    `counting`: jobs whose next command that loads anything is counted, `counts`: the results,
    by job and point.
    `runs`: jobs that were started, with the true day in Shanghai and the exit code.
    """

    place: Place
    settings: dict[str, str]  # of the place; tests change them
    tdx: TdxSandbox
    ib: IbSandbox
    tq: TqSandbox
    kills: dict[str, Kill] = field(default_factory=dict)
    counting: set[str] = field(default_factory=set)
    runs: list[tuple[str, str, int]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def run_schedule(
        self,
        begin: datetime,
        until: datetime,
        events: Mapping[datetime, Callable[[], object]] | None = None,
        asleep: tuple[datetime, datetime] | None = None,
    ) -> None:
        """Check the schedule after each start of any job, unless asleep; run events in between.

        The jobs are known from `begin` on.
        """
        self.check_schedule(begin)
        events = events or {}
        checks = {
            start + AFTER
            for job in self._jobs().values()
            if job.timing is not None
            for start in job.timing.starts(begin, until)
        }
        awake = {at for at in checks if asleep is None or not asleep[0] <= at < asleep[1]}
        for at in sorted(awake | set(events)):
            events.get(at, partial(self.check_schedule, at))()

    def check_schedule(self, at: datetime, wrong: timedelta = ON_TIME) -> None:
        """Run what is due at a time, by a machine whose own clock is wrong by so much.

        After going down it is up again a minute later, and checks again.
        """
        while not self._run_due(at, wrong):
            self.messages.append(f"{at:%a %H:%M}: the machine went down")
            at += MINUTE

    def draw_kill(self, rng: random.Random, job: str, points: Collection[str], what: str) -> None:
        """Kill the next command of a job at one of these points that it reached when counted."""
        point = rng.choice([name for name in points if self.counts[job].get(name)])
        self.kills[job] = Kill(point, rng.randint(1, self.counts[job][point]), what)

    def _jobs(self) -> dict[str, Job]:
        settings = load_settings(self.place.environment(), cwd=self.place.folder)
        return jobs.read_jobs(settings, open_warehouse(settings).ask(ledger.read_rows))

    def _run_due(self, at: datetime, wrong: timedelta) -> bool:
        shanghai = at.astimezone(SHANGHAI).replace(tzinfo=None)
        self.tdx.set_clock(shanghai)
        self.tq.set_clock(shanghai)
        # options are quoted each half hour: what is captured some minutes later is the same
        quoted = at.astimezone(NEW_YORK)
        self.ib.set_clock(quoted.replace(minute=quoted.minute // 30 * 30, second=0, tzinfo=None))
        believed = (at + wrong).astimezone(UTC)
        warehouse = open_warehouse(load_settings(self.place.environment(), cwd=self.place.folder))
        runner = _Runner(warehouse, lambda: believed, self.messages.append)
        runner.start = lambda job: self._run_job(job, f"{shanghai:%a}", believed)
        try:
            for job in runner.list_due(self._jobs().values()):
                runner.run(job)
        except MachineDown:
            return False
        except SettingsError as error:  # its clock is behind
            self.messages.append(f"{error}")
        return True

    def _run_job(self, job: Job, day: str, believed: datetime) -> int:
        command = [*job.command]
        # the log has the clock of the machine that runs the tests
        if takes_as_of(job) and job.kind != "logscan":
            command += ["--as-of", believed.isoformat()]
        kill, counted = self.kills.pop(job.name, None), job.name in self.counting
        if kill is not None or counted:
            code = self._drive(job.name, command, kill)
        else:
            done = self.place.inside(*command)
            code = done.returncode
            self.messages += [f"{job.name} {day}: {line}" for line in done.stderr.splitlines()[-5:]]
        self.runs.append((job.name, day, code))
        if kill is not None and kill.what == MACHINE and code == KILLED:
            raise MachineDown
        return code

    def _drive(self, name: str, command: list[str], kill: Kill | None) -> int:
        report = self.place.home / "points"
        point, nth = (kill.point, kill.nth) if kill else ("none", 0)
        server = embedded.running(self.place.home)
        assert server is not None
        victims = {JOB: "0", SERVER: f"{server.pid}", MACHINE: f"{server.pid},0"}
        own = {"FAULTS_REPORT": str(report), "FAULTS_VICTIM": victims[kill.what] if kill else "0"}
        env, folder = self.place.environment() | own, self.place.folder
        done = drive("run", point, nth, *command, env=env, cwd=folder, own_group=True)
        if kill is None:
            assert done.code == 0, done.said
            if counts := json.loads(report.read_text())["counts"]:  # else it had nothing to load
                self.counts[name] = counts
                self.counting.discard(name)
            return 0
        if done.code == 0:
            came = json.loads(report.read_text())["counts"].get(point, 0)
            if came < nth:  # on this day the job has less to load than on the day of the count
                self.messages.append(f"spared: {kill.what} in {name}, {point}, {came} of {nth}")
                self.kills[name] = Kill(point, max(came, 1), kill.what)
                return 0
        self.messages.append(f"killed: {kill.what} in {name}, {point}, {nth}")
        expected = 0 if kill.what == SERVER else -signal.SIGKILL
        assert done.code == expected, f"{kill}: {done.code} {done.said[-2000:]}"
        return KILLED if done.code else 0


class _Runner(Runner):
    """Its commands are started by the machine."""

    start: Callable[[Job], int]

    def _run_process(self, job: Job, lock: int, run_id: str) -> int:
        return self.start(job)


def clock_time(monday: datetime, weekday: int, clock: str) -> datetime:
    """A time of a weekday, counted from this Monday, in its zone."""
    day = monday.date() + timedelta(days=weekday)
    return datetime.combine(day, time.fromisoformat(clock), monday.tzinfo)
