"""The folder of the archive of ticks."""

from collections.abc import Iterable
from typing import ClassVar

from loaders.files.folder import OWNER, OwnedFolder
from loaders.settings import Settings
from loaders.ticks.store import StoredDay
from quotemill.errors import SettingsError
from quotemill.settings.folders import require_absolute


class TickFolder(OwnedFolder):
    """A file for each trading day, by year: `2025/2025-11-25.parquet`."""

    kind: ClassVar[str] = "the archive"
    setting: ClassVar[str] = "tq.archive_folder"

    def require_there(self, index: Iterable[StoredDay]) -> None:
        """Raises SettingsError where days are archived and neither owner nor any file is there.

        Such is the empty folder at which a disk is not mounted: what is written there vanishes.
        """
        names = {str(row.archive_file) for row in index if row.is_archived}
        with self.usable():
            is_there = not names or any(self.path(name).exists() for name in (OWNER, *names))
        if not is_there:
            raise self._gone(f"none of the {len(names):,} files of the tick archive is in")

    def require_still_there(self) -> None:
        """Raises SettingsError where the folder is gone since it was made."""
        with self.usable():
            is_there = self.path(OWNER).exists()
        if not is_there:
            raise self._gone("the tick archive is gone from")

    def _gone(self, what: str) -> SettingsError:
        return SettingsError(
            f"{what} {self.root} ({self.origin})",
            hint=f"mount its disk, or set {self.setting} to where the files are; if they are lost "
            f"for good, `mkdir -p {self.root} && touch {self.path(OWNER)}`: then `loaders verify "
            "tq --repair` downloads their days",
        )


def tick_folder(settings: Settings) -> TickFolder:
    """The folder by the settings. Raises SettingsError for a relative one of a variable."""
    own = settings.tq.archive_folder
    root = settings.home / "tick-archive"
    if own is not None:
        root = require_absolute(settings, "tq.archive_folder", own)
    return TickFolder(root, settings.origin("tq.archive_folder"))
