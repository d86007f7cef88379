"""A running PostgreSQL seen from its data directory: postmaster.pid, its process, its socket."""

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from loaders.warehouse.embedded.settings import Address
from quotemill.errors import UpstreamError
from quotemill.warehouse.embedded import PORT


@dataclass(frozen=True)
class Pidfile:
    pid: int
    socket_dir: Path
    state: str
    listens: Address | None

    @property
    def socket(self) -> Path:
        return socket_path(self.socket_dir)


def socket_path(folder: Path, port: int = PORT) -> Path:
    return folder / f".s.PGSQL.{port}"


def read_pidfile(data: Path) -> Pidfile | None:
    """postmaster.pid: pid, data, start time, port, socket folder, host, shared memory, state."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 5 or not lines[0].strip().isdigit():
        return None
    state = lines[7].strip() if len(lines) > 7 else "starting"
    host = lines[5].strip() if len(lines) > 5 else ""
    listens = Address(host, int(lines[3])) if host else None
    return Pidfile(int(lines[0]), Path(lines[4]), state, listens)


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def alive(pid: int, data: Path) -> bool:
    """Whether the process is a server of this data directory.

    After a reboot the number may be another program's, and a killed server may stay as a zombie.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    process = Path("/proc") / str(pid)
    try:
        if (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return False
        return (process / "cwd").samefile(data)
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # gone meanwhile; or a system without /proc
    except PermissionError:
        return True


def wait_for_other(data: Path, patience: float) -> bool:
    """Wait for a server that is starting, recovering or stopping. True once it answers.

    False where no server runs (any more). One whose socket was deleted is stopped: it is of no use.
    """
    deadline = time.monotonic() + patience
    while True:
        pidfile = read_pidfile(data)
        if pidfile is None or not alive(pidfile.pid, data):
            return False
        if pidfile.state == "ready":
            if answers(pidfile.socket):
                return True
            if not pidfile.socket.exists():
                stop(data, 60.0)
                return False
        if time.monotonic() > deadline:
            raise UpstreamError(
                f"the embedded server (process {pidfile.pid}) has been {pidfile.state} "
                f"for {patience:.0f} s",
                hint="Run the command again later: recovery after a crash continues by itself.",
            )
        time.sleep(0.02)


def drop_stale_locks(data: Path, socket_dir: Path) -> None:
    """Remove lock files that no server of this data directory holds.

    PostgreSQL does not start while the number in postmaster.pid or in the socket's lock file is any
    living process: another program's, or a zombie's. It notices leftover children of a dead server
    by their shared memory, with or without these files.
    """
    for path in (data / "postmaster.pid", *socket_dir.glob(".s.PGSQL.*.lock")):
        try:
            first, *_ = path.read_text().splitlines() or [""]
        except OSError:
            continue
        if not first.strip().isdigit() or not alive(int(first), data):
            path.unlink(missing_ok=True)


def link_socket(folder: Path, port: int) -> None:
    """Let clients find the socket of a server at another port by the name that they know.

    PostgreSQL names the socket by the port that it listens at.
    """
    known = socket_path(folder)
    if port != PORT:
        known.unlink(missing_ok=True)
        known.symlink_to(socket_path(folder, port).name)
    elif known.is_symlink():
        known.unlink()


def stop(data: Path, patience: float) -> bool:
    pidfile = read_pidfile(data)
    if pidfile is None or not alive(pidfile.pid, data):
        return False
    os.kill(pidfile.pid, signal.SIGINT)  # "fast": end sessions, checkpoint, leave
    deadline = time.monotonic() + patience
    while alive(pidfile.pid, data):
        if time.monotonic() > deadline:
            raise UpstreamError(
                f"the embedded server (process {pidfile.pid}) does not stop",
                hint="Try again in a minute: it may be writing a large checkpoint.",
            )
        time.sleep(0.02)
    return True
