"""Files that are whole or absent: unfinished name, flush to disk, rename, SHA-256."""

import contextlib
import errno
import hashlib
import os
import shlex
import stat
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from quotemill.errors import QuotemillError, SettingsError, UpstreamError
from quotemill.systems import IS_POSIX


@contextlib.contextmanager
def explain_unwritable(
    path: Path | str, *, hint: str = "", error: type[QuotemillError] = SettingsError
) -> Iterator[None]:
    """Raise `error` with the hint where a file cannot be written.

    Of a full disk no setting is wrong: UpstreamError in place of SettingsError.
    """
    try:
        yield
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            error = UpstreamError if error is SettingsError else error
            hint = "Free some space on its disk, then run again."
        raise error(f"{path} cannot be written: {fault.strerror}", hint=hint) from None


def sync(path: Path) -> None:
    """Flush a file or a folder to disk. Windows opens no folder, and flushes no read-only file."""
    if not IS_POSIX and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if IS_POSIX else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(paths: Iterable[Path]) -> None:
    """Flush files to disk, several at a time."""
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(sync, paths):
            pass


def write(path: Path, text: str, *, mode: int | None = 0o600) -> None:
    """Write a temporary file and rename it. Raises OSError, and leaves no part behind.

    A path that is not a regular file, such as /dev/null or a pipe, is written to and stays what it
    is. A file that is there keeps its mode, group and owner if `mode` is None; a new one is for its
    owner only. Raises SettingsError if you may not keep its owner and group.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    path = path.resolve()  # of a link, what it names
    # with another suffix: a program that collects files by suffix never sees the part
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if mode is None and path.exists():
            old, new = path.stat(), Path(part).stat()
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                try:
                    os.chown(part, old.st_uid, old.st_gid)
                except PermissionError:
                    raise SettingsError(
                        f"{path} belongs to another user or group, and would become yours",
                        hint="Change it as its owner, or run `sudo chown "
                        f"{new.st_uid}:{new.st_gid} {shlex.quote(str(path))}`.",
                    ) from None
            mode = stat.S_IMODE(old.st_mode)
        Path(part).chmod(mode or 0o600)
        Path(part).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(part).unlink(missing_ok=True)
        raise


def unfinished(path: Path) -> Path:
    """The name of a file while it is written, which patterns of readers skip."""
    return path.with_name(f".{path.name}.new")


def rename(path: Path) -> None:
    """Give an unfinished file its name, in place of an older one."""
    unfinished(path).replace(path)


def remove(path: Path, root: Path) -> None:
    """Remove a file, and the folders below `root` that this leaves empty."""
    path.unlink(missing_ok=True)
    for level in path.parents:
        if level == root:
            return
        try:
            level.rmdir()
        except OSError:  # not empty, or gone
            if level.exists():
                return


def hash_file(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
