"""Folders and the environment of tests; the server of root's tests can run in these folders."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from loaders.ticks.questdb import server as questdb
from loaders.warehouse.embedded import server as embedded
from tests.planted import find_secrets

MEMORY = Path("/dev/shm")
NEEDED = 10 * 2**30  # bytes; a whole run keeps some gigabytes of databases


def scratch() -> Path:
    """Memory where the machine has plenty, else the disk: servers write many small files."""
    plenty = (
        os.access(MEMORY, os.W_OK)
        and shutil.disk_usage(MEMORY).free > NEEDED
        and psutil.virtual_memory().available > NEEDED
    )
    return MEMORY if plenty else Path("/tmp")


def clean_environ() -> dict[str, str]:
    """The environment of this process without any setting of ours."""
    settings = ("QUOTEMILL_", "TDX_", "DB_", "DBT_", "PG")
    return {k: v for k, v in os.environ.items() if not k.startswith(settings)}


@contextmanager
def new_home() -> Iterator[Path]:
    """A folder that the system user of root's server can enter, as it cannot enter pytest's own.

    At the end its servers are stopped and the folder is gone.
    """
    home = Path(tempfile.mkdtemp(prefix="qm-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        embedded.stop(home)
        questdb.remove(questdb.server_folder(home))
        leaks = find_secrets(home)
        # a server of a session has some hundred thousand files, for which Python takes much longer
        subprocess.run(["rm", "-rf", str(home)], check=True)
    assert not leaks
