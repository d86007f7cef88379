"""The folder of the archive of ticks."""

from typing import ClassVar

from loaders.owned_folder import OwnedFolder
from loaders.settings import Settings
from loaders.settings.folders import require_absolute


class TickFolder(OwnedFolder):
    """A file for each trading day, by year: `2025/2025-11-25.parquet`."""

    setting: ClassVar[str] = "tq.archive_folder"


def tick_folder(settings: Settings) -> TickFolder:
    """The folder by the settings. Raises SettingsError for a relative one of a variable."""
    own = settings.tq.archive_folder
    root = settings.home / "tick-archive"
    if own is not None:
        root = require_absolute(settings, "tq.archive_folder", own)
    return TickFolder(root, settings.origin("tq.archive_folder"))
