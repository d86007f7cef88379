"""A small file that is written whole, or stays as it was."""

import contextlib
import os
import tempfile
from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a new file of this user alone, which then takes the name. Raises OSError, and leaves no part behind."""
    # a name that ends otherwise: who collects files by their ends never sees the part
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
