"""Locks of files and folders, which vanish with the last process that holds them.

flock and no package: a child that is started with a lock's descriptor must go on holding it when
its parent lets go, and the lock of a folder leaves no file in it. No package does either (fasteners
takes locks that end with any descriptor of the file, filelock hides its own), so only Windows,
which has no flock, locks by fasteners: no child shares such a lock, and it vanishes with its
process.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

from quotemill.systems import IS_POSIX

POLL = 0.02  # seconds between two tries


def take(path: Path, *, wait: float = 0.0, is_folder: bool = False) -> int | None:
    """Lock a file, which is made if need be, or a folder, which is there.

    Returns the open descriptor: closing it lets go. None where others hold the lock for longer
    than `wait` seconds. Raises OSError. Not for Windows.
    """
    flags = os.O_RDONLY | (os.O_DIRECTORY if is_folder else os.O_CREAT)
    file = os.open(path, flags, 0o644)
    try:
        if _try(file, wait):
            return file
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


@contextlib.contextmanager
def hold(path: Path, *, wait: float = 0.0, is_folder: bool = False) -> Iterator[int | None]:
    """Hold the lock that `take` takes during a block, which gets what it returns."""
    if not IS_POSIX:
        with _hold_on_windows(path, wait, is_folder) as descriptor:
            yield descriptor
        return
    file = take(path, wait=wait, is_folder=is_folder)
    try:
        yield file
    finally:
        if file is not None:
            os.close(file)


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock of a file; not of a missing one."""
    if not IS_POSIX:
        with _hold_on_windows(path) if path.exists() else contextlib.nullcontext(0) as held:
            return held is None
    import fcntl

    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # shared: two that ask at the same time do not meet each other
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


@contextlib.contextmanager
def _hold_on_windows(
    path: Path, wait: float = 0.0, is_folder: bool = False
) -> Iterator[int | None]:
    from fasteners import InterProcessLock

    # beside a folder, of which no file can be opened
    lock = InterProcessLock(path.with_name(f".{path.name}.lock") if is_folder else path)
    if not lock.acquire(blocking=wait > 0, timeout=None if wait == math.inf else wait):
        yield None
        return
    try:
        yield lock.lockfile.fileno()
    finally:
        lock.release()


def _try(file: int, wait: float) -> bool:
    import fcntl

    if wait == math.inf:
        fcntl.flock(file, fcntl.LOCK_EX)
        return True
    until = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(POLL)
