"""The console scripts as a user or cron starts them, in a home of their own."""

import importlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from loaders.cli import shell
from tests.forks import Command
from tests.homes import clean_environ

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
MAINS = {"loaders": "loaders.cli", "quotemill": "orchestration.cli"}


@dataclass(frozen=True)
class Place:
    """A working directory and the only settings that the commands see."""

    folder: Path
    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a console script. No command may ever show a traceback."""
        program, *arguments = command
        done = subprocess.run(
            [str(BIN / program), *arguments],
            cwd=self.folder,
            env=self.environment() | settings,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def forked(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a process that has imported everything."""
        fork = Command(command, env=self.environment() | settings, cwd=self.folder)
        out, err = fork.communicate()
        assert "Traceback" not in out + err, err
        return subprocess.CompletedProcess(command, fork.wait(), out, err)

    def inside(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a console script's function in this process: imports cost more than most commands."""
        program, *arguments = command
        main = importlib.import_module(MAINS[program]).main
        out, err = io.StringIO(), io.StringIO()
        wanted = self.environment() | settings
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in set(os.environ) - set(wanted):
                patch.delenv(name)
            for name, value in wanted.items():
                if os.environ.get(name) != value:
                    patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", [program, *arguments])
            patch.setattr(shell, "_answered", False)
            with pytest.raises(SystemExit) as ended:
                main()
        code = ended.value.code
        assert isinstance(code, int)
        done = subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a console script; its stderr can be read."""
        program, *arguments = command
        return subprocess.Popen(
            [str(BIN / program), *arguments],
            cwd=self.folder,
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        return clean_environ() | {"QUOTEMILL_HOME": str(self.home)} | dict(self.settings)


@contextmanager
def sandbox(*options: str) -> Iterator[str]:
    """The URL of a sandbox started by its command."""
    process = subprocess.Popen(
        [str(BIN / "loaders"), "sandbox", "tdx", "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield "http://" + process.stdout.readline().split("http://")[1].split()[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@contextmanager
def printed_sandbox(
    source: str, settings: int, *options: str, env: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A sandbox started by its command, with the first `line` and the settings that it prints."""
    command = [str(BIN / "loaders"), "sandbox", source, "--port", "0", "--control-port", "0"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    printed = {"line": process.stdout.readline().strip()}
    for _ in range(settings):
        name, _, value = process.stdout.readline().strip().partition("=")
        printed[name.removeprefix(f"export QUOTEMILL_{source.upper()}__")] = value
    printed["control"] = printed["line"].partition("control=")[2].split()[0]
    yield process, printed
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
