"""Processes are stopped in time, with what they started."""

import signal
import subprocess
from subprocess import PIPE

from loaders.files.process import KILL, end_group


def start(script: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(["sh", "-c", script], stdout=PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_a_process_that_takes_the_first_signal_is_not_killed() -> None:
    with start("trap 'exit 7' TERM; echo ready; sleep 600 & wait") as process:
        assert end_group(process) == 7


def test_a_process_that_does_not_listen_is_killed_with_its_children() -> None:
    with start("trap '' TERM; (trap '' TERM; sleep 600) & echo ready; wait") as process:
        quickly = ((signal.SIGTERM, 0.05), *KILL)
        assert end_group(process, quickly) == -signal.SIGKILL
        assert process.stdout is not None
        assert process.stdout.read() == b""  # which ends once no child holds it any more
