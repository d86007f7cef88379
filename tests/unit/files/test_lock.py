"""Locks are exclusive, vanish with their process, and stay with a child that shares them."""

import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from loaders.files import lock

HOLDER = """
import sys, time
from pathlib import Path
from loaders.files import lock
file = lock.take(Path(sys.argv[1]))
print(file, flush=True)
time.sleep(600)
"""


def test_a_held_lock_is_refused_until_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not lock.is_held(path)
    with lock.hold(path) as held:
        assert held is not None
        assert lock.is_held(path)
        assert lock.take(path) is None
        assert lock.take(path, wait=0.05) is None
    assert not lock.is_held(path)


def test_one_who_waits_gets_the_lock_when_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    got = threading.Event()

    def wait() -> None:
        with lock.hold(path, wait=math.inf):
            got.set()

    with lock.hold(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.is_set()
    waiting.join()
    assert got.is_set()


def test_a_folder_is_locked_without_a_file_in_it(tmp_path: Path) -> None:
    with lock.hold(tmp_path, is_folder=True):
        assert lock.take(tmp_path, is_folder=True) is None
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(FileNotFoundError):
        lock.take(tmp_path / "missing", is_folder=True)
    assert [*tmp_path.iterdir()] == []


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert lock.is_held(path)
        holder.send_signal(signal.SIGKILL)
    assert not lock.is_held(path)


def test_a_child_that_shares_a_lock_holds_it_after_its_parent_let_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    file = lock.take(path)
    assert file is not None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(file,)) as child:
        os.close(file)
        assert lock.is_held(path)
        assert child.stdin is not None
        child.stdin.close()
    assert not lock.is_held(path)
