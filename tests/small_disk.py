"""A file system of its own for a test of a full disk."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.requirements import require


@contextlib.contextmanager
def file_system(folder: Path, size: str) -> Iterator[Path]:
    """One of so many bytes (`96k`) at a new folder; skips where this user may not mount it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "quotemill-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False)
    require("tmpfs", done.returncode == 0, "this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room of a file system, by the file that is returned."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 512, 1):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break
    return path
