"""The file systems of this machine that hold something of ours."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from loaders.settings import Settings
from loaders.warehouse.embedded import places

LITTLE = 2 * 2**30  # bytes; a year of day bars of the whole market is a fraction of it


@dataclass(frozen=True)
class Disk:
    """`name` is the first of what lies on it: home, warehouse, archive, backups. Sizes in bytes; `used` and
    `free` are less than `total` by what only root may use."""

    name: str
    folder: str
    used: int
    free: int
    total: int

    @property
    def used_share(self) -> float:
        """As df counts it."""
        return self.used / (self.used + self.free)

    def is_short(self, percent: float) -> bool:
        """Is it used to more than so many percent, or has little left? What the doctor and alerts go by."""
        return self.free < LITTLE or 100 * self.used_share > percent


def disks(settings: Settings) -> list[Disk]:
    """The disks of the home, of the embedded server's data, of the archive and of the backups, each once. One
    that does not answer is left out: whoever needs it says so; so is one that tells no size, as some of a network."""
    wanted = [("home", settings.home)]
    if settings.warehouse_url is None:
        wanted.append(("warehouse", places.existing_base(settings.home)))
    if settings.ib.archive_folder is not None:
        wanted.append(("archive", settings.ib.archive_folder))
    if settings.backup_folder is not None:
        wanted.append(("backups", settings.backup_folder.expanduser().absolute()))
    found: dict[int, Disk] = {}
    for name, folder in wanted:
        with contextlib.suppress(OSError):
            there = existing(folder)
            used = shutil.disk_usage(there)
            if used.total:
                disk = Disk(name, str(folder), used.used, used.free, used.total)
                found.setdefault(there.stat().st_dev, disk)
    return list(found.values())


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder
