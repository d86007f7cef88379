"""Child processes of sessions of their own, stopped in time with all that they started."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

# signals, and the seconds that a process gets to end after each
STOP = ((signal.SIGTERM, 10.0), (signal.SIGKILL, None))
KILL = ((signal.SIGKILL, None),)


def end_group(
    process: "subprocess.Popen[Any]",
    signals: Sequence[tuple[signal.Signals, float | None]] = STOP,
) -> int:
    """Ask a process that leads its group to end, with the group, then force it; its exit code."""
    for number, seconds in signals:
        # also where it has ended: what it started may go on
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(seconds)
    return process.wait()
