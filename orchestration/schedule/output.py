"""What jobs print: files `schedule-*.log` of the home's `logs`, which cron, systemd and launchd append to.

What counts is in the log of lines of JSON; these hold the last of what a terminal would have shown.
"""

import contextlib
import os
import shutil
from pathlib import Path

LARGEST = 10 * 2**20  # bytes of a file; with the one before it twice as many
PATTERN = "schedule-*.log"


def trim(folder: Path) -> None:
    """Move aside what files that are too large hold. They stay the same files: who writes into one goes on.

    What cannot be moved stays as it is: no job is kept from running by its output.
    """
    with contextlib.suppress(OSError):
        for path in folder.glob(PATTERN):
            if path.stat().st_size > LARGEST:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)
