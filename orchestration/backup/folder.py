"""The folder of backups: each is an own folder, which is whole or absent."""

import contextlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from loaders.files import lock as locks
from loaders.files import whole_file
from loaders.files.folder import NO_ROOM, Folder
from loaders.files.whole_file import hash_file
from loaders.settings import Settings
from loaders.warehouse.disks import existing_parent
from quotemill.errors import LockHeldError, QuotemillError, SettingsError, UsageError
from quotemill.settings.folders import require_absolute

MANIFEST, DUMP, SETTINGS = "backup.json", "warehouse.dump", "settings.toml"
FORMAT = 1
NAME = re.compile(r"backup-(\d{5,})-\d{8}T\d{6}Z")
# what is being written, or removed: no reader takes it for a backup
UNFINISHED = ".unfinished-"
_LOCK = ".lock"  # stays: a folder without it never held a backup
_KNOWN = "backup_folders.json"  # of the home: folders elsewhere that backups went to


@dataclass(frozen=True)
class Backup:
    """A whole backup; `manifest` is its backup.json."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def number(self) -> int:
        match = NAME.fullmatch(self.name)
        return int(match[1]) if match else 0

    @property
    def made_at(self) -> datetime:
        return datetime.fromisoformat(self.manifest["made_at"])

    @property
    def warehouse_id(self) -> str:
        return str(self.manifest["warehouse"]["id"])

    @property
    def size_bytes(self) -> int:
        return sum(int(file["bytes"]) for file in self.manifest["files"].values())

    def as_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "size_bytes": self.size_bytes, **self.manifest}


def backup_root(settings: Settings, folder: Path | None = None) -> Path:
    """The folder of backups: `folder`, else as the settings say. Raises SettingsError."""
    if folder is None and settings.backup_folder is not None:
        return require_absolute(settings, "backup_folder", settings.backup_folder)
    return (folder or settings.home / "backups").expanduser().absolute()


def is_on_warehouse_disk(settings: Settings, root: Path) -> bool:
    """Whether one failing disk would take the embedded server and its backups."""
    if settings.warehouse_url is not None:
        return False
    home = existing_parent(settings.home.resolve())
    return existing_parent(root).stat().st_dev == home.stat().st_dev


def check_place(root: Path, home: Path) -> None:
    """Make sure that backups go to the disk that they are meant for.

    Below the place of a disk that is not mounted they would land on another one: raises
    SettingsError where the folder above is missing, and where former backups left no trace.
    """
    if root.is_relative_to(home):
        return
    if not root.parent.is_dir():
        raise SettingsError(
            f"cannot create the backup folder {root.name}: {root.parent} does not exist",
            hint=f"Mount its disk, or run `mkdir -p {shlex.quote(str(root.parent))}`.",
        )
    if str(root) in _known(home) and not (root / _LOCK).exists() and not _folders(root):
        quoted = shlex.quote(str(root))
        raise SettingsError(
            f"earlier backups went to {root}, but none is there",
            hint="Mount its disk, or for a new one run: "
            f"`mkdir -p {quoted} && touch {shlex.quote(str(root / _LOCK))}`.",
        )


def record_root(root: Path, home: Path) -> None:
    """Record that a backup went there, if it is not in the home. Raises OSError."""
    known = _known(home)
    if root.is_relative_to(home) or str(root) in known:
        return
    whole_file.write(home / _KNOWN, json.dumps([*known, str(root)], indent=1), mode=0o644)


def _known(home: Path) -> list[str]:
    try:
        return [str(path) for path in json.loads((home / _KNOWN).read_text("utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


class BackupFolder(Folder):
    kind: ClassVar[str] = "a backup"
    setting: ClassVar[str] = "backup_folder"

    def explain_full(self) -> QuotemillError:
        count = len(list_backups(self.root))
        return QuotemillError(
            f"no room left for {self.kind} in {self.root}: the older ones are kept ({count})",
            hint=f"Free some space, set {self.setting} to a larger disk, or keep fewer "
            "(backups_kept).",
        )


@contextlib.contextmanager
def usable(root: Path) -> Iterator[None]:
    """Turn errors of the file system into messages; of programs that report them by text too."""
    folder = BackupFolder(root)
    try:
        with folder.usable():
            yield
    except QuotemillError as error:
        if any(os.strerror(number) in str(error) for number in NO_ROOM):
            raise folder.explain_full() from None
        raise


@contextlib.contextmanager
def lock(root: Path) -> Iterator[None]:
    """One backup at a time in a folder. Raises LockHeldError."""
    with locks.hold(root / _LOCK) as held:
        if held is None:
            raise LockHeldError(
                f"another backup is being written to {root}", hint="Wait for it to end."
            )
        yield


def list_backups(root: Path) -> list[Backup]:
    """The backups of a folder in the order in which they were made; none without a folder."""
    return scan(root)[0]


def scan(root: Path) -> tuple[list[Backup], list[str]]:
    """The backups of a folder, and the errors of those that cannot be read and are left out."""
    backups, damaged = [], []
    for path in _folders(root):
        try:
            backups.append(read_backup(path))
        except UsageError:
            if path.is_dir():  # else it was removed meanwhile
                damaged.append(f"{path / MANIFEST} is missing")
        except (QuotemillError, OSError) as error:
            damaged.append(str(error))
    return backups, damaged


def next_number(root: Path) -> int:
    """The next number, by names alone: that of a damaged backup is not used again."""
    return max((Backup(path, {}).number for path in _folders(root)), default=0) + 1


def _folders(root: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        paths = [path for path in root.iterdir() if NAME.fullmatch(path.name)]
        return sorted(paths, key=lambda path: Backup(path, {}).number)
    return []


def read_backup(path: Path) -> Backup:
    """The backup at a path, by its backup.json alone. Raises UsageError, QuotemillError."""
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
        if manifest["format"] != FORMAT:
            raise SettingsError(
                f"{path} was written by a later version, {manifest['quotemill']}",
                hint="Install that version.",
            )
        backup = Backup(path, manifest)
        backup.made_at, backup.warehouse_id, backup.size_bytes  # noqa: B018
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"not a quotemill backup: {path}", hint="Choose one that `quotemill backup list` shows."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise QuotemillError(
            f"{path / MANIFEST} is damaged: {error}", hint="Take another backup."
        ) from None
    return backup


def find(root: Path, name: str | None) -> Backup:
    """A backup by its path, or by its name in the folder; without one the newest.

    Raises UsageError where there is no backup, or where those of several warehouses are there.
    """
    if name is not None:
        path = Path(name).expanduser().absolute()
        return read_backup(root / name if not path.exists() and Path(name).name == name else path)
    backups = list_backups(root)
    if not backups:
        raise UsageError(
            f"no backup in {root}",
            hint="Run `quotemill backup`, or name another folder with `--folder`.",
        )
    if len({backup.warehouse_id for backup in backups}) > 1:
        raise UsageError(
            f"{root} has backups of several warehouses",
            hint=f"Choose one of `quotemill backup list`, as in "
            f"`quotemill backup restore {backups[-1].name}`.",
        )
    return backups[-1]


def describe(path: Path) -> dict[str, Any]:
    """Size and hash of a file, as backup.json has them."""
    return {"bytes": path.stat().st_size, "sha256": hash_file(path)}


def check(backup: Backup) -> None:
    """Read all of a backup. Raises QuotemillError that names the file which is damaged."""
    for name, written in backup.manifest["files"].items():
        path = backup.path / name
        try:
            actual = describe(path)
        except OSError as error:
            actual = {"error": error.strerror}
        if actual != written:
            why = actual.get("error", "it differs from what was written")
            raise QuotemillError(f"{path} is damaged: {why}", hint="Take another backup.")


def publish(part: Path, path: Path) -> None:
    """Give a whole backup its name, once its bytes are on the disk; then the name is, too."""
    whole_file.sync_all((*part.iterdir(), part))
    part.rename(path)
    whole_file.sync(path.parent)


def remove(backup: Backup) -> None:
    """Remove a backup; its first step is a name that no reader takes for one."""
    doomed = backup.path.with_name(UNFINISHED + backup.name)
    backup.path.rename(doomed)
    shutil.rmtree(doomed)


def discard_unfinished(root: Path) -> None:
    """Remove what an interrupted backup or removal left. The caller holds the lock."""
    for path in root.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)
