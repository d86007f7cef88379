"""File systems of this machine that hold data of quotemill."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from loaders.check import Check
from loaders.settings import Settings

LEAST_FREE = 2 * 2**30  # bytes; a year of day bars of the whole market is a fraction of it


@dataclass(frozen=True)
class Disk:
    """A file system; sizes in bytes.

    name    first folder on it: home, warehouse, archive or backups
    folder  path of that folder
    used, free, total
            `used` plus `free` is less than `total` by the space reserved for root
    """

    name: str
    folder: str
    used: int
    free: int
    total: int

    @property
    def used_share(self) -> float:
        """Share that is used, as df counts it."""
        return self.used / (self.used + self.free)

    def is_short(self, percent: float) -> bool:
        """Whether more than `percent` is used, or less than LEAST_FREE is free."""
        return self.free < LEAST_FREE or 100 * self.used_share > percent

    def check(self, percent: float) -> Check:
        fix = (
            f"Free some space (`du -h -d 2 {self.folder}` lists the largest folders), or "
            "move files with QUOTEMILL_HOME, ib.archive_folder or backup_folder."
        )
        is_short, gib = self.is_short(percent), self.free / 2**30
        used = 100 * self.used_share
        return Check(
            "disk",
            "warn" if is_short else "ok",
            f"the disk of {self.folder} is {used:.0f} % full: {gib:,.1f} GiB free",
            fix if is_short else "",
            figures={
                "folder": self.folder,
                "free_gib": round(gib, 1),
                "free_share": round(self.free / self.total, 3),
            },
        )


def list_disks(settings: Settings) -> list[Disk]:
    """List the disks of home (and embedded server), archive and backups, each once.

    A disk that does not answer is left out; the command that needs it reports it. So is a disk
    without a size, such as some network disks.
    """
    folders = [("home", settings.home)]
    own_folders = {
        "archive": settings.ib.archive_folder,
        "backups": settings.backup_folder,
    }
    for name, own in own_folders.items():
        # a relative one is refused where it is used
        if own is not None and own.expanduser().is_absolute():
            folders.append((name, own.expanduser()))
    disks: dict[int, Disk] = {}
    for name, folder in folders:
        with contextlib.suppress(OSError):
            parent = existing_parent(folder)
            usage = shutil.disk_usage(parent)
            if usage.total:
                disk = Disk(name, str(folder), used=usage.used, free=usage.free, total=usage.total)
                disks.setdefault(parent.stat().st_dev, disk)
    return list(disks.values())


def existing_parent(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
