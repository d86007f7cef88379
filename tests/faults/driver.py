"""Our commands in a process that kills itself, or others, at a chosen point.

    driver GROUP POINT NTH loaders run tdx ...

GROUP and POINT name a point of tests.faults.points; with the point `none` nothing is killed.
FAULTS_REPORT names a file for the point that was hit and how often each point came, as JSON; it
is written before the kill and at the end of a command that ends by itself.
FAULTS_SIGNAL names another signal than KILL. FAULTS_VICTIM lists what is killed, with commas
between: `self`, a process number, `clients` of a futures load, `questdb:FOLDER`. FAULTS_PATIENCE:
how many seconds a load waits for its warehouse. FAULTS_MOUNTS: a shell's command for mounts that
only the process sees, and what it starts.
"""

import ctypes
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.faults.points import GROUPS, Point
from tests.forks import fork_clients

NEW_MOUNTS = 0x20000  # CLONE_NEWNS
MAINS = {"loaders": "loaders.cli", "quotemill": "orchestration.cli"}


class Killer:
    """The points of a group, counted; the process dies at the nth call of one of them."""

    def __init__(self, points: Mapping[str, Point], target: str, nth: int) -> None:
        self.points, self.target, self.nth = points, target, nth
        self.counts: Counter[str] = Counter()
        self.hit = ""
        self._lock = threading.Lock()

    def arm(self) -> None:
        for name, point in self.points.items():
            for function in point.functions:
                self._wrap(function, name, point.is_after)

    def report(self) -> None:
        if path := os.environ.get("FAULTS_REPORT"):
            with Path(path).open("w") as file:
                json.dump({"hit": self.hit, "counts": self.counts}, file)
                file.flush()
                os.fsync(file.fileno())

    def _reach(self, name: str, *args: Any) -> None:
        point = self.points[name]
        if not point.applies(*args):
            return
        with self._lock:
            self.counts[name] += 1
            if name != self.target or self.counts[name] != self.nth:
                return
            self.hit = f"{point.stage}: {name}"
            point.prepare(*args)
            self.report()
            strike(*args)

    def _wrap(self, function: str, name: str, is_after: bool) -> None:
        owner, attribute = resolve(function)
        original = getattr(owner, attribute)
        if inspect.iscoroutinefunction(original):

            async def replacement(*args: Any, **kwargs: Any) -> Any:
                if not is_after:
                    self._reach(name, *args)
                result = await original(*args, **kwargs)
                if is_after:
                    self._reach(name, *args)
                return result
        else:

            def replacement(*args: Any, **kwargs: Any) -> Any:
                if not is_after:
                    self._reach(name, *args)
                result = original(*args, **kwargs)
                if is_after:
                    self._reach(name, *args)
                return result

        setattr(owner, attribute, replacement)


def resolve(function: str) -> tuple[Any, str]:
    """The owner of a function, and its name there; a module within a module becomes its own."""
    module, _, path = function.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        child = getattr(owner, parent)
        if isinstance(child, ModuleType):
            child = SimpleNamespace(**vars(child))
            setattr(owner, parent, child)
        owner = child
    return owner, name


def strike(*args: Any) -> None:
    number = signal.Signals["SIG" + os.environ.get("FAULTS_SIGNAL", "KILL")]
    for victim in os.environ.get("FAULTS_VICTIM", "self").split(","):
        if victim == "clients":
            for process in list(args[0].harvest._all):
                if process.alive:
                    os.killpg(process._popen.pid, number)
        elif victim.startswith("questdb:"):
            from tests.integration.ticks.servers import kill

            kill(Path(victim.partition(":")[2]))
        else:
            os.kill(os.getpid() if victim == "self" else int(victim), number)


def was_killed(work: Callable[[], object], point: Point) -> bool:
    """Do some work in a child of this process that is killed at a point; whether it was.

    Where nothing is open that both would use, this costs less than a command.
    """
    if (child := os.fork()) == 0:
        try:
            Killer({"": point}, "", point.nth).arm()
            work()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main() -> None:
    group, target, nth, program, *arguments = sys.argv[1:]
    killer = Killer(GROUPS[group], target, int(nth))
    killer.arm()
    if patience := os.environ.get("FAULTS_PATIENCE"):
        from quotemill.warehouse import postgres

        postgres.PATIENCE = float(patience)
    if mounts := os.environ.get("FAULTS_MOUNTS"):
        assert ctypes.CDLL(None).unshare(NEW_MOUNTS) == 0
        subprocess.run(["sh", "-c", f"mount --make-rprivate / && {mounts}"], check=True)
    elif group == "tq":  # by a server that is found in a folder of this machine's memory
        fork_clients(pytest.MonkeyPatch())
    sys.argv = [program, *arguments]
    try:
        importlib.import_module(MAINS[program]).main()
    finally:
        killer.report()
