"""Processes that import nothing: imports cost more than most loads, and than a futures client.

Each is a fork of a server process that has imported what it needs, and runs what a console script
or `python -m` runs. It has its own environment, working directory, files and, if asked for, process
group, and lives and dies as any process does.
"""

import atexit
import contextlib
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CLIENT = "loaders.tq.client.program"
MAINS = {
    "loaders": "loaders.cli:main",
    "quotemill": "orchestration.cli:main",
    "dbt": "dbt.cli.main:cli",
    "driver": "tests.faults.driver:main",
    "toy": "tests.toy.bench:main",
    CLIENT: f"{CLIENT}.__main__:main",
}
_context = multiprocessing.get_context("forkserver")
# what the futures client imports; it itself reads its home when it is imported
CLIENT_NEEDS = (
    f"{CLIENT}.__main__",
    "aiohttp",
    "jwt",
    "pandas",
    "pyarrow.compute",
    "requests",
    "sgqlc.operation",
    "websockets",
)
# what loads import, some of it when it is first used
LOADS_NEED = (
    "anyio._backends._asyncio",
    "dlt.common.libs.pyarrow",
    "dlt.sources.helpers.requests",
    "httpcore",
    "loaders.cli",
    "loaders.landing.load_job",
    "loaders.loads",
    "loaders.ib.source",
    "loaders.tdx.source",
    "loaders.tq.source",
    "pandas_market_calendars",
)
BUILDS_NEED = ("dbt.cli.main", "orchestration.cli.build", "orchestration.cli.run")
_preloaded = list(CLIENT_NEEDS)
_context.set_forkserver_preload(_preloaded)


def preload(*names: str) -> None:
    """Let the forks of this session have further modules, if none was started yet."""
    _preloaded.extend(name for name in names if name not in _preloaded)
    _context.set_forkserver_preload(_preloaded)


class _Passed:
    """An open file that a fork gets; there it is a number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return _detach, (DupFd(self.number),)


def _detach(passed: Any) -> int:
    number: int = passed.detach()
    return number


class Fork:
    """A running process, with what its users need of `subprocess.Popen`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        files: Sequence[int],
        own_group: bool = False,
    ) -> None:
        """`files` are its input, output and errors."""
        passed = [_Passed(number) for number in files]
        arguments = (list(command), dict(env), str(cwd), passed, own_group)
        self._process = _context.Process(target=_run, args=arguments)
        self._process.start()
        # a test that forgets one does not wait for it
        atexit.register(self.kill)
        assert self._process.pid is not None
        self.pid = self._process.pid
        # from now on the group can be killed
        with contextlib.suppress(ProcessLookupError):
            while own_group and os.getpgid(self.pid) != self.pid:
                time.sleep(0.001)

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
        atexit.unregister(self.kill)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


class Command(Fork):
    """A command of ours; what it writes is kept until it ended."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self._written = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        with Path(os.devnull).open() as nothing:
            files = [file.fileno() for file in (nothing, *self._written)]
            super().__init__(command, env=env, cwd=cwd, files=files)

    def communicate(self) -> tuple[str, str]:
        """Its output and errors, when it has ended."""
        self.wait()
        texts = []
        for file in self._written:
            file.seek(0)
            texts.append(file.read().decode())
            file.close()
        return texts[0], texts[1]


class Client(Fork):
    """A process of the futures client, called as `subprocess.Popen` is."""

    def __init__(self, command: Sequence[str], *, stderr: Any, cwd: Path, env: Any, **_: Any):
        theirs, ours = os.pipe()
        mine, other = os.pipe()
        files = [theirs, other, stderr.fileno()]
        super().__init__(command[-1:], env=env, cwd=cwd, files=files, own_group=True)
        for number in (theirs, other):
            os.close(number)
        self.stdin, self.stdout = os.fdopen(ours, "wb"), os.fdopen(mine, "rb")


def _run(
    command: list[str], env: dict[str, str], cwd: str, files: list[int], own_group: bool
) -> None:
    if own_group:
        os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = command
    module, _, function = MAINS[command[0]].partition(":")
    getattr(importlib.import_module(module), function)()


def fork_clients(patch: Any) -> None:
    """Let the futures clients that this process starts be forks."""
    names = {"PIPE": subprocess.PIPE, "TimeoutExpired": subprocess.TimeoutExpired}
    forking = SimpleNamespace(Popen=Client, **names)
    patch.setattr("loaders.tq.client.process.subprocess", forking)
