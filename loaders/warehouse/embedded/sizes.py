"""The sizes of the embedded server, by the machine at each start.

The server reads `quotemill.conf` in its data directory, which is written at each start: sizes by
the machine, then `postgresql.conf` with what its user wrote there. ALTER SYSTEM overrides both, as
in any PostgreSQL. Figures: docs/decisions/0016.
"""

import os
import sys
from pathlib import Path

from loaders.warehouse.embedded.machine import Machine, machine

FILE = "quotemill.conf"
MB = 2**20
SHARED = Path("/dev/shm")
WAL_BUFFERS = "16MB"  # of 128 MB of buffers PostgreSQL would take 4: a COPY waits for those
ROOM = 512 * MB  # of it for what the workers of parallel queries share


def by_machine(here: Machine) -> dict[str, str]:
    """The sizes by which a larger machine is faster, for a server that shares it with programs.

    The others are PostgreSQL's own.
    """
    most = max(8, here.processors)
    workers = str(min(4, max(2, here.processors // 2)))
    return {
        "maintenance_work_mem": _megabytes(min(here.memory // 32, 2**30)),
        "max_worker_processes": str(most),
        "max_parallel_workers": str(most),
        "max_parallel_workers_per_gather": workers,
        "max_parallel_maintenance_workers": workers,
    }


def _megabytes(size: int) -> str:
    whole = max(32, size // MB)
    return f"{whole}MB" if whole % 1024 else f"{whole // 1024}GB"


def shared_memory() -> dict[str, str]:
    """The setting of where parallel workers exchange rows, if not the default.

    A container's /dev/shm has 64 MB, and a query that needs more fails; where it cannot be written
    the server does not start. The shared memory of System V has no such limit.
    """
    if sys.platform != "linux":
        return {}
    try:
        facts = os.statvfs(SHARED)
        roomy = facts.f_blocks * facts.f_frsize >= ROOM and os.access(SHARED, os.W_OK)
    except OSError:
        roomy = False
    return {} if roomy else {"dynamic_shared_memory_type": "sysv"}


def list_settings() -> str:
    """The text of the file for a start."""
    lines = ["# written by quotemill at each start; postgresql.conf, which comes after, is yours"]
    lines += [f"{name} = '{value}'" for name, value in by_machine(machine()).items()]
    lines += [f"wal_buffers = '{WAL_BUFFERS}'", "include 'postgresql.conf'"]
    lines += [f"{name} = '{value}'" for name, value in shared_memory().items()]
    return "\n".join([*lines, ""])
