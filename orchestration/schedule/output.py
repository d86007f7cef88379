"""Files `schedule-*.log` in the home's `logs`, to which cron, systemd, launchd append output.

The JSON log holds what matters; these hold the last of what a terminal would have shown.
"""

import contextlib
import os
import shutil
from pathlib import Path

MAX_BYTES = 10 * 2**20  # of a file; with the previous one twice as many
PATTERN = "schedule-*.log"


def rotate_logs(folder: Path) -> None:
    """Move aside the content of files that are too large. The file stays: writers keep it open.

    A file that cannot be moved stays as it is: a job runs whatever its output.
    """
    with contextlib.suppress(OSError):
        for path in folder.glob(PATTERN):
            if path.stat().st_size > MAX_BYTES:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)
