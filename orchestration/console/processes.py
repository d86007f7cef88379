"""Commands as processes of their own, which outlive the server.

Each has the id of a run, which its lines in the log of commands have too, and files below the
folder `console/commands` of the home: what was started, its output, and a lock that it holds while
it lives. Nothing else is remembered, so any console of the home, also a later one, shows them.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from loaders import log
from loaders.files import lock, whole_file
from orchestration.console.errors import Busy, NotThere
from orchestration.schedule.runner import executable
from quotemill.errors import DataQualityError, PartialError
from quotemill.systems import require_posix

KEPT_COMMANDS = 200  # the newest; their output is for reading, the record is in the warehouse
TAIL = 64 * 2**10  # bytes of an output that are read at a time
POLL = 0.1  # seconds
STOPPING = 10.0  # seconds that a command which is stopped gets to end
# ends of a command that did its work: its last words are about that, not an error
WITH_RESULT = (DataQualityError.exit_code, PartialError.exit_code)
_RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{4}")
T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """A command that a console started; times in UTC.

    words: program and arguments
    origin: the call of the API that asked for it
    """

    run_id: str
    words: tuple[str, ...]
    pid: int
    started_at: datetime
    origin: str
    is_running: bool = True

    @property
    def text(self) -> str:
        return " ".join(self.words)


_STORED = TypeAdapter(Command)


@dataclass(frozen=True)
class Ending:
    """How a command ended: its exit code, and the message and hint of an error.

    The code is None of one that was killed, or could not say it.
    """

    exit_code: int | None
    error: str | None = None
    hint: str = ""
    answer: Any = None


# starts a process of an own session and returns its id: words, environment, folder, open files
Spawn = Callable[[Sequence[str], Mapping[str, str], Path, "Files"], int]


@dataclass(frozen=True)
class Files:
    """Open files of a new process: its output, its errors, and the lock that it holds."""

    output: int
    errors: int
    lock: int


class Spawner:
    """Starts programs beside this interpreter; collects those that ended."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []

    def __call__(
        self, words: Sequence[str], environ: Mapping[str, str], folder: Path, files: Files
    ) -> int:
        require_posix("a command of the console", f"type {' '.join(words)} in a terminal")
        # one that ended stays in the system's table until its end is asked for
        self._children = [child for child in self._children if child.poll() is None]
        child = subprocess.Popen(
            [str(executable(words[0])), *words[1:]],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=files.output,
            stderr=files.errors,
            pass_fds=(files.lock,),
            start_new_session=True,
        )
        self._children.append(child)
        return child.pid


@dataclass
class Commands:
    """The commands of a home.

    folder: where their files are
    cwd, environ: where and with which variables they run
    most: how many run at a time
    """

    folder: Path
    cwd: Path
    environ: Mapping[str, str]
    most: int = 4
    spawn: Spawn = field(default_factory=Spawner)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def start(self, words: Sequence[str], origin: str) -> Command:
        """Start a command, or join the same one that runs. Raises Busy where as many run as may."""
        with self._turn:
            running = [command for command in self.list_all() if command.is_running]
            same = next((command for command in running if command.words == tuple(words)), None)
            if same is not None:
                return same
            if len(running) >= self.most:
                names = "; ".join(command.text for command in running)
                raise Busy(
                    f"this console is already running {len(running)} commands: {names}",
                    hint="Wait for one of them to finish, or cancel one.",
                )
            return self._start(words, origin)

    def _start(self, words: Sequence[str], origin: str) -> Command:
        with whole_file.explain_unwritable(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._prune()
            run_id = log.new_run_id()
            command = Command(run_id, tuple(words), 0, datetime.now(UTC), origin)
            try:
                with contextlib.ExitStack() as stack:
                    output, errors = (self._open(run_id, end, stack) for end in ("out", "err"))
                    held = stack.enter_context(lock.hold(self._path(run_id, "lock")))
                    assert held is not None  # of a new id
                    files = Files(output, errors, held)
                    self._write(command)  # a command that cannot be recorded does not start
                    environ = {
                        **self.environ,
                        log.RUN_ID: run_id,
                        log.EXIT_FILE: str(self._path(run_id, "code").absolute()),
                    }
                    command = replace(command, pid=self.spawn(words, environ, self.cwd, files))
            except BaseException:
                self._delete(run_id)
                raise
            with contextlib.suppress(OSError):  # it runs; without its number none can stop it
                self._write(command)
        return command

    def stop(self, command: Command) -> None:
        """End a command as Ctrl-C does, and wait for that; one that has ended is left alone."""
        with contextlib.suppress(ProcessLookupError):
            # it leads its session: another process that got its number since mostly does not
            if self._is_running(command.run_id) and os.getsid(command.pid) == command.pid:
                os.kill(command.pid, signal.SIGTERM)
        self.wait(command, lambda: None, STOPPING)

    def list_all(self) -> list[Command]:
        """Every command that is still on record, the newest first."""
        ids = (path.stem for path in self.folder.glob("*.json") if _RUN_ID.fullmatch(path.stem))
        read = (self._read(run_id) for run_id in sorted(ids, reverse=True))
        return [command for command in read if command is not None]

    def find(self, run_id: str) -> Command:
        """A command by its id. Raises NotThere."""
        command = self._read(run_id) if _RUN_ID.fullmatch(run_id) else None
        if command is None:
            raise NotThere(
                f"there is no command {run_id[:40]}", hint="List them with GET /api/commands."
            )
        return command

    def read_output(self, command: Command, end: str = "err") -> str:
        """The last lines that a command printed: `out`, or `err`, which has its progress."""
        try:
            with self._path(command.run_id, end).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL))
                data = file.read()
        except FileNotFoundError:
            return ""
        text = data.decode("utf-8", "replace")
        if size > TAIL:
            text = text.partition("\n")[2]
        return log.scrub(text)

    def read_ending(self, command: Command) -> Ending | None:
        """How a command ended, and what it printed as JSON; None while it runs."""
        if self._is_running(command.run_id):
            return None
        try:
            answer = json.loads(self._path(command.run_id, "out").read_text("utf-8"))
        except (OSError, ValueError):
            answer = None
        first = answer[0] if isinstance(answer, list) and answer else answer
        known = first if isinstance(first, dict) else {}
        error, hint = known.get("error"), known.get("hint")
        code = self._read_code(command.run_id)
        if code is None and isinstance(known.get("exit_code"), int):  # the disk may have been full
            code = known["exit_code"]
        if not error and code != 0:
            error, hint = self._find_error(command, code)
        return Ending(
            code, log.scrub(str(error)) if error else None, log.scrub(str(hint or "")), answer
        )

    def _find_error(self, command: Command, code: int | None) -> tuple[str | None, str]:
        """The last error that a command printed for people, and its hint."""
        lines = self.read_output(command).strip().splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        hints = [line.removeprefix("fix: ") for line in lines if line.startswith("fix: ")]
        if code is None and not errors:
            errors = ["it was killed"]
        if code in WITH_RESULT and not errors:
            return None, ""
        # a failed command names its log last
        said = [line for line in lines if not line.startswith("log: ")]
        last = errors[-1:] or said[-1:] or [f"it exited with {code}"]
        return last[0], hints[-1] if hints else ""

    def _read_code(self, run_id: str) -> int | None:
        """The exit code that a command left; None of one that was killed."""
        try:
            return int(self._path(run_id, "code").read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def wait(self, command: Command, ask: Callable[[], T | None], seconds: float) -> T | None:
        """Ask again and again until there is an answer, the command ended, or time is over."""
        until = time.monotonic() + seconds
        while True:
            is_running = self._is_running(command.run_id)
            answer = ask()  # once more after its end
            if answer is not None or not is_running or time.monotonic() >= until:
                return answer
            time.sleep(POLL)

    def _read(self, run_id: str) -> Command | None:
        try:
            stored = _STORED.validate_json(self._path(run_id, "json").read_bytes())
        except (OSError, ValueError):
            return None
        return replace(stored, run_id=run_id, is_running=self._is_running(run_id))

    def _is_running(self, run_id: str) -> bool:
        """Whether the process lives: it holds the lock until its end."""
        return lock.is_held(self._path(run_id, "lock"))

    def _open(self, run_id: str, end: str, stack: contextlib.ExitStack) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        file = os.open(self._path(run_id, end), flags, 0o600)
        stack.callback(os.close, file)
        return file

    def _write(self, command: Command) -> None:
        path = self._path(command.run_id, "json")
        whole_file.write(path, json.dumps(asdict(command), default=str))

    def _delete(self, run_id: str) -> None:
        for end in ("json", "out", "err", "lock", "code"):
            self._path(run_id, end).unlink(missing_ok=True)

    def _path(self, run_id: str, end: str) -> Path:
        return self.folder / f"{run_id}.{end}"

    def _prune(self) -> None:
        """Delete the files of the oldest commands that ended."""
        for command in self.list_all()[KEPT_COMMANDS:]:
            if not command.is_running:
                self._delete(command.run_id)
