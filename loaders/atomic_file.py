"""Files that survive a crash: written whole or not at all, flushed to disk."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loaders.errors import QuotemillError, SettingsError


@contextlib.contextmanager
def explain_unwritable(
    path: Path | str, *, hint: str = "", error: type[QuotemillError] = SettingsError
) -> Iterator[None]:
    """Raise `error` with the hint where a file cannot be written."""
    try:
        yield
    except OSError as fault:
        raise error(f"{path} cannot be written: {fault.strerror}", hint=hint) from None


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
