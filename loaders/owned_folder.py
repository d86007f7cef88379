"""A folder that one warehouse owns, such as an archive, and its errors as messages."""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from loaders import atomic_file
from loaders.errors import QuotemillError, SettingsError

Damaged = Callable[[Path, str], QuotemillError]  # the error of a file and what is wrong with it
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OWNER = ".owner.json"  # readers of the folder skip it


@dataclass(frozen=True)
class OwnedFolder:
    """The folder of a warehouse's archive.

    setting: the setting that names it
    origin:  where it was set
    """

    setting: ClassVar[str]
    root: Path
    origin: str

    def path(self, name: str) -> Path:
        return self.root / name

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Turn errors of the file system into messages."""
        try:
            yield
        except OSError as error:
            if isinstance(error, pa.ArrowException) and error.errno is None:
                raise
            if error.errno in _NO_ROOM:
                raise QuotemillError(
                    f"no room left for the archive in {self.root}",
                    hint=f"free some space, or set {self.setting} to a larger disk and move the "
                    "archive there; running again finishes",
                ) from None
            raise SettingsError(
                f"the archive's folder {self.root} ({self.origin}) cannot be used: "
                f"{error.strerror or error}",
                hint=f"{self.setting} names a folder that this user may write",
            ) from None

    def require_own(self, warehouse_id: str) -> None:
        """Raises SettingsError where the folder is another warehouse's archive."""
        owner = self._read_owner()
        if owner is not None and owner["warehouse_id"] != warehouse_id:
            raise SettingsError(
                f"{self.root} ({self.origin}) is the archive of another warehouse "
                f"({owner['label']})",
                hint=f"set {self.setting} to a folder of its own; or, if this warehouse replaces "
                f"that one, delete {self.path(OWNER)}",
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
                atomic_file.write(self.path(OWNER), text, mode=0o644)
        self.require_own(warehouse_id)

    def _read_owner(self) -> dict[str, str] | None:
        """The owner; None for a new folder, and where its file is empty or cut short."""
        try:
            owner: dict[str, str] = json.loads(self.path(OWNER).read_text("utf-8"))
        except (OSError, ValueError):  # an unreadable folder fails at its first file
            return None
        return owner


@contextmanager
def readable(path: Path, damaged: Damaged) -> Iterator[None]:
    """Turn errors of reading a file into `damaged`, or SettingsError where this user may not."""
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
