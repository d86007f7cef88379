"""Folders in which the embedded server of root's tests can run."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loaders.warehouse.embedded import server as embedded


@contextmanager
def new_home() -> Iterator[Path]:
    """A folder that the system user of root's server can enter, as it cannot enter pytest's own.

    At the end its server is stopped and the folder is gone.
    """
    home = Path(tempfile.mkdtemp(prefix="qm-", dir="/tmp"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        embedded.stop(home)
        shutil.rmtree(home)
