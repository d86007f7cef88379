"""The sizes of the embedded server: by the machine at each start, or from the settings.

The server reads `quotemill.conf` in its data directory, which is written at each start: sizes by
the machine, then `postgresql.conf` with what its user wrote there, then the settings. ALTER SYSTEM
overrides all of them, as in any PostgreSQL. Figures: docs/decisions/0016.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from loaders.warehouse.embedded.binaries import Account
from loaders.warehouse.embedded.machine import Machine, machine
from loaders.warehouse.embedded.settings import UNITS, ServerSettings, in_bytes

FILE = "quotemill.conf"
SHARED = Path("/dev/shm")
WAL_BUFFERS = "16MB"  # of 128 MB of buffers PostgreSQL would take 4: a COPY waits for those
ROOM = 512 * UNITS["MB"]  # of it for what the workers of parallel queries share


@dataclass(frozen=True)
class Size:
    """A size of the server, in PostgreSQL's words, and its origin.

    `next` is the value from the next start on, where it differs.
    """

    name: str
    value: str
    origin: str
    next: str | None = None


def by_machine(here: Machine, given: Mapping[str, str]) -> dict[str, str]:
    """The sizes by which a larger machine is faster, for a server that shares it with programs.

    The others are PostgreSQL's own. Processes suffice for the parallel workers that are `given`.
    """
    most = max(8, here.processors)
    workers = str(min(4, max(2, here.processors // 2)))
    return {
        "maintenance_work_mem": _megabytes(min(here.memory // 32, 2**30)),
        "max_worker_processes": str(max(most, int(given.get("max_parallel_workers", 0)))),
        "max_parallel_workers": str(most),
        "max_parallel_workers_per_gather": workers,
        "max_parallel_maintenance_workers": workers,
    }


def _megabytes(size: int) -> str:
    whole = max(32, size // UNITS["MB"])
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


def write(data: Path, account: Account | None, given: Mapping[str, str]) -> Path:
    """Write the file for a start; its path."""
    lines = ["# written by quotemill at each start; postgresql.conf, which comes after, is yours"]
    lines += [f"{name} = '{value}'" for name, value in by_machine(machine(), given).items()]
    lines += [f"wal_buffers = '{WAL_BUFFERS}'", "include 'postgresql.conf'"]
    lines += [f"{name} = '{value}'" for name, value in (shared_memory() | dict(given)).items()]
    path = data / FILE
    # never through a link: as root we write into a folder of another user
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write("\n".join([*lines, ""]))
        if account:
            os.fchown(handle, account.uid, account.gid)
    return path


def coming(given: Mapping[str, str], origin: Callable[[str], str]) -> list[Size]:
    """The sizes of the next start; `origin` gives the origin of a setting."""
    here = machine()
    chosen = {
        name: Size(name, value, f"machine: {here}")
        for name, value in by_machine(here, given).items()
    }
    for name, value in shared_memory().items():
        chosen[name] = Size(name, value, f"{SHARED} is small")
    for name, value in given.items():
        chosen[name] = Size(name, value, origin(name))
    return list(chosen.values())


def in_force(
    conn: psycopg.Connection, given: Mapping[str, str], origin: Callable[[str], str]
) -> list[Size]:
    """The sizes of a running server, with their origins."""
    wanted = {size.name: size for size in coming(given, origin)}
    names = dict.fromkeys((*ServerSettings.model_fields, *wanted))
    rows = conn.execute(
        "select name, current_setting(name), source, sourcefile, sourceline from pg_settings "
        "where name = any(%(names)s) order by array_position(%(names)s, name)",
        {"names": list(names)},
    ).fetchall()
    return [_in_force(name, wanted.get(name), name in given, *facts) for name, *facts in rows]


def _in_force(
    name: str,
    wanted: Size | None,
    is_given: bool,
    value: str,
    source: str,
    file: str | None,
    line: int | None,
) -> Size:
    place = Path(file).name if file else ""
    differs = wanted is not None and _bytes_or_text(value) != _bytes_or_text(wanted.value)
    if place == FILE:
        origin = "its start" if differs or wanted is None else wanted.origin
    elif place == "postgresql.auto.conf":
        return Size(name, value, "ALTER SYSTEM")
    else:
        origin = f"{place}, line {line}" if file else f"PostgreSQL: {source}"
        differs &= is_given or not file  # what was written there by hand overrides the machine's
    return Size(name, value, origin, wanted.value if wanted and differs else None)


def _bytes_or_text(value: str) -> int | str:
    return in_bytes(value) if value.endswith("B") else value
