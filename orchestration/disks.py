"""The file systems of this machine that hold something of ours."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from loaders.settings import Settings
from loaders.warehouse.embedded import places


@dataclass(frozen=True)
class Disk:
    """`name` is the first of what lies on it: home, warehouse, archive. Sizes in bytes."""

    name: str
    folder: str
    free: int
    total: int

    @property
    def used_share(self) -> float:
        return 1 - self.free / self.total


def disks(settings: Settings) -> list[Disk]:
    """The disks of the home, of the embedded server's data and of the archive, each once."""
    wanted = [("home", settings.home)]
    if settings.warehouse_url is None:
        wanted.append(("warehouse", places.existing_base(settings.home)))
    if settings.ib.archive_folder is not None:
        wanted.append(("archive", settings.ib.archive_folder))
    found: dict[int, Disk] = {}
    for name, folder in wanted:
        there = existing(folder)
        usage = shutil.disk_usage(there)
        found.setdefault(there.stat().st_dev, Disk(name, str(folder), usage.free, usage.total))
    return list(found.values())


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder
