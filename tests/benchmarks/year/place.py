"""The home of a year: its commands with their memory, its queries, what its steps measured."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from loaders.warehouse.embedded.binaries import client_tool
from tests.benchmarks.builds import Home
from tests.benchmarks.loads import settle


@dataclass(frozen=True)
class Figure:
    """What was measured, beside its limit.

    value, limit: in `unit`; limit None: only the aim counts
    fixed: seconds of the same commands with nothing to do, a part of `value`
    aim: ≤ or ≥ and a ratio, or a value in `unit` if there is no limit
    """

    name: str
    value: float
    unit: str = "s"
    limit: float | None = None
    limit_name: str = ""
    aim: str = ""
    fixed: float = 0.0

    @property
    def ratio(self) -> float | None:
        return self.value / self.limit if self.limit else None

    @property
    def net_ratio(self) -> float | None:
        return (self.value - self.fixed) / self.limit if self.limit and self.fixed else None

    @property
    def is_met(self) -> bool | None:
        sign, _, wanted = self.aim.partition(" ")
        compared = self.value if self.limit is None else self.ratio
        if not self.aim or compared is None:
            return None
        return compared <= float(wanted) if sign == "≤" else compared >= float(wanted)


@dataclass
class Year:
    """A home with its warehouse, and the figures of the steps that are done."""

    home: Home
    factor: float
    small: Home
    figures: dict[str, list[Figure]] = field(default_factory=dict)

    @property
    def record(self) -> Path:
        return self.home.folder / "year.json"

    @property
    def client(self) -> Path:
        return self.home.folder / "client"

    @property
    def codes(self) -> int:
        return self.count(5_400)

    def count(self, whole: int) -> int:
        return max(2, round(whole * self.factor))

    def keep(self, step: str, figures: list[Figure]) -> None:
        self.figures[step] = figures
        steps = {name: [asdict(figure) for figure in done] for name, done in self.figures.items()}
        self.record.write_text(json.dumps({"factor": self.factor, "steps": steps}, indent=1))

    def restore(self) -> None:
        if self.record.exists():
            steps = json.loads(self.record.read_text())["steps"]
            self.figures = {name: [Figure(**f) for f in done] for name, done in steps.items()}

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.home.dsn, autocommit=True) as conn:
            cursor = conn.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def settle(self) -> None:
        settle(self.home.dsn)

    def load(self, day: date, *datasets: str) -> tuple[float, float]:
        """Seconds of a load of shares, and its peak memory in MB."""
        options = [f"--dataset={name}" for name in datasets]
        return run(self.home, "loaders", "run", "tdx", f"--as-of={day}T20:00", *options)

    def build(self, day: date) -> float:
        command = ("quotemill", "run", "tdx", "--only=build", f"--as-of={day}T20:00")
        return run(self.home, *command)[0]


def run(home: Home, program: str, *arguments: str, good: tuple[int, ...] = (0,)) -> Any:
    """Seconds and peak memory in MB of a program beside this Python. Raises RuntimeError."""
    command = [str(Path(sys.executable).parent / program), *arguments]
    with (home.folder / "command.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=home.folder, env=home.environment, stdout=log, stderr=log
        )
        peak = 0.0
        while process.poll() is None:
            peak = _read_peak(process.pid) or peak
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        seconds = time.perf_counter() - started
    if process.returncode not in good:
        said = Path(log.name).read_text()[-2_000:]
        raise RuntimeError(f"{program} {arguments[:3]} ended with {process.returncode}: {said}")
    return seconds, peak


def _read_peak(process: int) -> float:
    """The peak memory of a process in MB; wait4 can return the peak of this one instead."""
    status = Path(f"/proc/{process}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) / 1024 if peak else 0.0


def run_tool(home: Home, name: str, *arguments: str) -> float:
    """Seconds of a program of PostgreSQL, as new as the server."""
    with psycopg.connect(home.dsn) as conn:
        program = client_tool(name, server_version=conn.info.server_version, encrypted=False)
    return run(home, str(program), *arguments)[0]


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
