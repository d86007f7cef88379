"""Files that survive a crash: written whole or not at all, flushed to disk."""

import contextlib
import os
import tempfile
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a temporary file and rename it. Raises OSError, and leaves no part behind."""
    # with another suffix: a program that collects files by suffix never sees the part
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(mode)
        Path(part).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(part).unlink(missing_ok=True)
        raise
