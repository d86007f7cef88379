"""A machine that runs the schedule for a week: its clock is moved by hand, its commands may be killed."""

import json
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loaders.sandbox.tdx.service import TdxSandbox
from loaders.settings import load_settings
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli.schedule.known import takes_as_of
from orchestration.schedule import jobs, ledger
from orchestration.schedule.jobs import Job
from orchestration.schedule.runner import Runner
from tests.e2e.commands import Place

ROOT = Path(__file__).parents[2]
KILLED = 128 + signal.SIGKILL
NIGHT = "tdx_daily"
ON_TIME = timedelta(0)


@dataclass(frozen=True)
class Kill:
    """The nth time of a moment at which a night's command dies; with it the machine, where it `falls`."""

    moment: str
    nth: int
    falls: bool


class Fallen(Exception):
    """The machine went down, and its runner wrote nothing of the end."""


@dataclass
class Machine:
    """`kill` is what becomes of the next night's command. `runs` are jobs that were started, with the day by
    the true clock and the exit code; `counts` how often each moment came in a night that was counted."""

    place: Place
    sandbox: TdxSandbox
    kill: Kill | None = None
    runs: list[tuple[str, str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def wake(self, at: datetime, wrong: timedelta = ON_TIME, *, count: bool = False) -> None:
        """What a look at the schedule does, at a moment of Shanghai; the machine's own clock is wrong by so
        much. Nothing more is due once it returns, but after a fall."""
        self.sandbox.set_clock(at)
        believed = (at + wrong).replace(tzinfo=SHANGHAI).astimezone(UTC)
        settings = load_settings(self.place.environment(), cwd=self.place.folder)
        warehouse = open_warehouse(settings)
        runner = _Runner(warehouse, lambda: believed, self.said.append)
        runner.start = lambda job: self._carry_out(job, f"{at:%a}", believed, count)
        known = jobs.read(settings, warehouse.ask(ledger.rows))
        try:
            for job in runner.due(known.values()):
                runner.run(job)
        except Fallen:
            self.said.append("the machine went down")

    def dice(self, rng: random.Random, moments: dict[str, str], *, falls: bool) -> Kill:
        """A kill at some moment of these that came in the night that was counted."""
        moment = rng.choice([m for m in moments if self.counts.get(m)])
        return Kill(moment, rng.randint(1, self.counts[moment]), falls)

    def _carry_out(self, job: Job, day: str, believed: datetime, count: bool) -> int:
        command = [*job.command]
        if takes_as_of(job):
            command += ["--as-of", believed.isoformat()]
        kill = None
        if job.name == NIGHT:
            kill, self.kill = self.kill, None
        if kill is not None or (count and job.name == NIGHT):
            code = self._driven(command, kill)
        else:
            done = self.place.inside(*command)
            code = done.returncode
            self.said += done.stderr.splitlines()[-5:]
        self.runs.append((job.name, day, code))
        if kill is not None and kill.falls:
            raise Fallen
        return code

    def _driven(self, command: list[str], kill: Kill | None) -> int:
        report = self.place.home / "moments"
        moment, nth = (kill.moment, kill.nth) if kill else ("none", 0)
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.week_driver", report, moment, str(nth), *command],
            cwd=self.place.folder,
            env=self.place.environment() | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=400,
        )
        if kill is None:
            assert done.returncode == 0, done.stderr
            self.counts = json.loads(report.read_text())
            return 0
        assert done.returncode == -signal.SIGKILL, f"{kill}: {done.stderr[-2000:]}"
        self.said.append(f"killed: {moment}, {nth} of {self.counts.get(moment)}")
        return KILLED


class _Runner(Runner):
    """Its commands are started by the machine."""

    def _child(self, job: Job, lock: int, run_id: str) -> int:
        return self.start(job)
