"""A folder of whole files: finish and remove them, its errors as messages, its owner."""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from loaders.files import whole_file
from loaders.files.whole_file import unfinished
from quotemill.errors import QuotemillError, SettingsError

Damaged = Callable[[Path, str], QuotemillError]  # the error of a file and what is wrong with it
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OWNER = ".owner.json"  # readers of the folder skip it


@dataclass(frozen=True)
class Folder:
    """A folder whose files are whole or absent.

    kind:    what it holds, in messages
    setting: the setting that names it, if any
    origin:  where it was set
    """

    kind: ClassVar[str]
    setting: ClassVar[str] = ""
    root: Path
    origin: str = ""

    def path(self, name: str) -> Path:
        return self.root / name

    @contextlib.contextmanager
    def usable(self) -> Iterator[None]:
        """Turn errors of the file system into messages."""
        try:
            yield
        except OSError as error:
            if error.errno is None:  # of Arrow, about the contents of a file
                raise
            if error.errno in NO_ROOM:
                raise self.explain_full() from None
            origin = f" ({self.origin})" if self.origin else ""
            raise SettingsError(
                f"the folder {self.root}{origin} of {self.kind} cannot be used: {error.strerror}",
                hint=f"Set {self.setting} to a folder that this user can write to."
                if self.setting
                else "Choose a folder that this user can write to.",
            ) from None

    def explain_full(self) -> QuotemillError:
        move = f", or set {self.setting} to a larger disk and move it there" if self.setting else ""
        return QuotemillError(
            f"no room left for {self.kind} in {self.root}",
            hint=f"Free some space{move}, then run it again to finish. Complete files are kept.",
        )

    def finish(self, names: Iterable[str]) -> None:
        """Rename unfinished files to their final names, replacing older ones.

        Bytes are on disk before the rename, names when it returns: safe against a power cut.
        """
        with self.usable():
            paths = [self.path(name) for name in names]
            left = [path for path in paths if unfinished(path).exists()]
            whole_file.sync_all(map(unfinished, left))
            for path in left:
                whole_file.rename(path)
            self.sync_folders(paths)

    def sync_folders(self, paths: Iterable[Path]) -> None:
        """Flush the names of files, and of the folders that they are in."""
        levels = {level for path in paths for level in path.parents}
        whole_file.sync_all(sorted(level for level in levels if level.is_relative_to(self.root)))

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, and the folders that this leaves empty."""
        with self.usable():
            for name in names:
                whole_file.remove(self.path(name), self.root)

    def discard_unfinished(self, below: str = "**") -> None:
        """Remove what a killed command was writing."""
        with self.usable():
            for path in self.root.glob(f"{below}/.*.new"):
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class OwnedFolder(Folder):
    """A folder that one warehouse owns."""

    def require_own(self, warehouse_id: str) -> None:
        """Raises SettingsError where the folder is another warehouse's."""
        owner = self._read_owner()
        if owner is not None and owner["warehouse_id"] != warehouse_id:
            raise SettingsError(
                f"{self.root} ({self.origin}) is {self.kind} of another warehouse "
                f"({owner['label']})",
                hint=f"Set {self.setting} to a folder of its own. If this warehouse "
                f"replaces the other one, delete {self.path(OWNER)} instead.",
            )

    def make(self, warehouse_id: str, label: str) -> None:
        """Create the folder for this warehouse.

        Raises SettingsError where it cannot be written, or is another's.
        """
        with self.usable():
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
            text = json.dumps({"warehouse_id": warehouse_id, "label": label})
            with (
                contextlib.suppress(FileExistsError),  # of two at the same time one is refused
                self.path(OWNER).open("x", encoding="utf-8") as file,
            ):
                file.write(text)
            if self._read_owner() is None:  # cut short, by a full disk or a kill
                whole_file.write(self.path(OWNER), text, mode=0o644)
        self.require_own(warehouse_id)

    def _read_owner(self) -> dict[str, str] | None:
        """The owner; None for a new folder, and where its file is empty or cut short."""
        try:
            owner: dict[str, str] = json.loads(self.path(OWNER).read_text("utf-8"))
        except (OSError, ValueError):  # an unreadable folder fails at its first file
            return None
        return owner


@contextlib.contextmanager
def readable(path: Path, damaged: Damaged) -> Iterator[None]:
    """Turn errors of reading a file into `damaged`, or SettingsError where this user may not."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise damaged(path, "the file is missing") from None
    except PermissionError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    # IndexError, ValueError: of a footer that names other columns or fewer row groups
    except (OSError, IndexError, ValueError, pa.ArrowException) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise damaged(path, f"the file cannot be read: {why}") from None


def check_size(path: Path, size: int, damaged: Damaged) -> None:
    """Raise `damaged` where a file is missing, unreachable, or of another size."""
    with readable(path, damaged):
        actual = path.stat().st_size
    if actual != size:
        raise damaged(path, f"{actual:,} bytes instead of {size:,}")
