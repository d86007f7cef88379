"""Child processes, stopped in time: those of sessions of their own with all that they started."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from quotemill.systems import IS_POSIX

# signals, and the seconds that a process gets to end after each
FORCED = getattr(signal, "SIGKILL", signal.SIGTERM)  # of Windows, where that one forces
STOP = ((signal.SIGTERM, 10.0), (FORCED, None))
KILL = ((FORCED, None),)

# Becomes a program that Linux ends with its parent (PR_SET_PDEATHSIG), also with a killed one. By a
# program, as Python code between fork and exec can block where there are threads.
_WITH_PARENT = f"""
import ctypes, os, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
ctypes.CDLL(None).prctl(1, {signal.SIGTERM:d})
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def end_group(
    process: "subprocess.Popen[Any]",
    signals: Sequence[tuple[signal.Signals, float | None]] = STOP,
) -> int:
    """Ask a process that leads its group to end, with the group, then force it; its exit code.

    Windows knows no groups: what the process started goes on there.
    """
    for number, seconds in signals:
        # also where it has ended: what it started may go on
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number) if IS_POSIX else process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(seconds)
    return process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], fail: Callable[[str], Exception], **options: Any
) -> "Iterator[subprocess.Popen[bytes]]":
    """A program at work, which a failing block kills; `options` are those of Popen.

    On Linux it also ends with a killed parent, even if it waits for a lock of the warehouse.

    Raises what `fail` makes of the messages of one that fails.
    """
    if sys.platform == "linux":
        bound = [sys.executable, "-ISc", _WITH_PARENT, str(os.getpid())]
        command = [*bound, *map(str, command)]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stderr=errors, **options) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
            finally:
                if process.stdin is not None:
                    with contextlib.suppress(BrokenPipeError):  # it may end before it has read all
                        process.stdin.close()
        if process.returncode != 0:
            errors.seek(0)
            raise fail(errors.read().decode(errors="replace").strip())
