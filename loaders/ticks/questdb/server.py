"""The QuestDB server of a folder: start, stop, status.

One HTTP port on the loopback address.

The folder holds `password`, `server.lock`, `server.json` (port and version of the last start),
`server.log`, conf/, db/, import/ (where it reads Parquet from) and tmp/. The server process
inherits the lock, so it holds it exactly as long as it lives, however it ends.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loaders.files import lock
from loaders.files.process import FORCED
from loaders.ticks.questdb.jar import VERSION, Java, fetch_jar, find_java
from loaders.ticks.settings import QuestdbSettings
from quotemill.errors import SettingsError, UpstreamError
from quotemill.foreign import reading
from quotemill.systems import require_posix
from quotemill.ticks.questdb_http import USER, Address

LOCK = "server.lock"  # has the number of the process that holds it
PATIENCE = 60.0  # seconds for a start with WAL to read, and for a stop
HOST = "127.0.0.1"
WORKERS = max(2, os.cpu_count() or 2)  # threads that answer queries: each reads in one
# every key is known to this version; config.validation.strict refuses one that is not
_CONF = {
    "config.validation.strict": "true",
    "pg.enabled": "false",  # HTTP serves everything
    "http.min.enabled": "false",
    "line.tcp.enabled": "false",
    "line.udp.enabled": "false",
    "telemetry.enabled": "false",
    "telemetry.disable.completely": "true",
    "posthog.enabled": "false",
    "line.auto.create.new.tables": "false",
    "line.auto.create.new.columns": "false",
    "shared.worker.count": str(WORKERS),
    "wal.apply.worker.count": "1",
    "export.worker.count": "1",
    "cairo.mat.view.enabled": "false",
    # of packed partitions: a third of the bytes of the default
    "cairo.partition.encoder.parquet.compression.codec": "zstd",
    "cairo.partition.encoder.parquet.compression.level": "3",
    # rows of an INSERT ... SELECT by the server's own loop over columns: by default it generates
    # and loads a class for each statement, a third of the time that a day of ticks takes
    "debug.cairo.copier.type": "3",
    # disk that an open table allocates for each column: by default 0.6 GB for one of ticks
    "cairo.writer.data.append.page.size": "1M",
    "cairo.writer.data.index.value.append.page.size": "256K",
    "cairo.o3.column.memory.size": "1M",
    "cairo.system.wal.writer.data.append.page.size": "64K",
}
# without the line that INFO writes for each query
_LOG_CONF = """\
writers=stdout
w.stdout.class=io.questdb.log.LogConsoleWriter
w.stdout.level=ADVISORY,CRITICAL,ERROR
"""
_LISTENS = re.compile(r"http-server listening on 127\.0\.0\.1:(\d+)")
_REASONS = re.compile(r"could not|cannot|[Ii]nvalid|Exception|NetworkError|No space|^\* ")


class PortTaken(SettingsError):
    """Another program listens on the port."""


@dataclass(frozen=True)
class ServerStatus:
    """The answer of `quotemill questdb status`; `size_bytes` is the whole folder."""

    running: bool
    pid: int | None
    version: str | None
    url: str | None
    folder: Path
    log: Path
    size_bytes: int


def server_folder(home: Path) -> Path:
    return home / "questdb"


def start(
    folder: Path, settings: QuestdbSettings, *, conf: Mapping[str, str] | None = None
) -> Address:
    """Start the folder's server and wait until it answers.

    A running one is left as it is.

    `conf`: further keys of server.conf. Raises SettingsError (no Java, a taken port) and
    UpstreamError (no jar, a server that does not come up) with the reason from its log.
    """
    if (address := find_running(folder)) is not None:
        return address
    require_posix("a QuestDB of this home", "set QUOTEMILL_QUESTDB_URL to a server")
    java, jar = find_java(settings), fetch_jar(settings)
    try:
        for part in (folder, folder / "conf", folder / "tmp", folder / "import"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with lock.hold(folder / LOCK) as held:
                if held is not None:
                    return _start(folder, settings, java, jar.path, held, conf or {})
            if (address := find_running(folder)) is not None:
                return address
            time.sleep(0.05)  # another process is starting it
    except OSError as error:
        raise SettingsError(
            f"{error.filename}: {error.strerror}", hint="Set QUOTEMILL_HOME to another folder."
        ) from None
    raise UpstreamError(
        f"another process is still starting the QuestDB in {folder}",
        hint="Run `quotemill questdb status`.",
    )


def find_running(folder: Path) -> Address | None:
    """The address of the folder's server, if it lives and was ready; a quick check."""
    record = _read_record(folder)
    if record is None or _pid(folder) != record["pid"]:
        return None
    return Address(f"http://{HOST}:{record['port']}", USER, _read_password(folder))


def stop(folder: Path, *, patience: float = PATIENCE) -> bool:
    """Stop the folder's server; acknowledged writes stay. False if none was running."""
    pid = _pid(folder)
    if pid is None:
        return False
    for number in (signal.SIGTERM, FORCED):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            # reaps it where it is our own child
            _reap(pid)
            if _pid(folder) != pid:
                return True
            time.sleep(0.02)
    return _pid(folder) != pid


def remove(folder: Path) -> None:
    """Stop the folder's server and delete the folder.

    A folder under a running server is never deleted: a second server on the same path and the
    orphan would purge each other's data.
    """
    if not stop(folder) and _pid(folder) is not None:
        raise UpstreamError(
            f"the QuestDB in {folder} does not stop", hint="Run `quotemill questdb status`."
        )
    if folder.is_dir():
        trash = Path(tempfile.mkdtemp(prefix="questdb.gone-", dir=folder.parent))
        folder.rename(trash / "questdb")
        shutil.rmtree(trash, ignore_errors=True)


def status(folder: Path) -> ServerStatus:
    """The state of the folder's server; starts and creates nothing."""
    address, record = find_running(folder), _read_record(folder)
    return ServerStatus(
        running=address is not None,
        pid=_pid(folder) if address else None,
        version=str(record["version"]) if record else None,
        url=address.url if address else None,
        folder=folder,
        log=folder / "server.log",
        size_bytes=_size(folder),
    )


def _pid(folder: Path) -> int | None:
    """The process of the living server; the number in a free lock means nothing."""
    path = folder / LOCK
    try:
        text = path.read_text(errors="replace").strip() if lock.is_held(path) else ""
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _read_record(folder: Path) -> dict[str, int | str] | None:
    try:
        record: dict[str, int | str] = json.loads((folder / "server.json").read_text())
    except (OSError, ValueError):
        return None
    return record


def _write_record(folder: Path, pid: int, address: Address) -> None:
    port = int(address.url.rpartition(":")[2])
    part = folder / "server.json.part"
    part.write_text(json.dumps({"pid": pid, "port": port, "version": VERSION}))
    part.replace(folder / "server.json")


def _read_password(folder: Path, *, create: bool = False) -> str:
    path = folder / "password"
    if create and not path.exists():
        _write_private(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    """Write a file that no other user can read at any time."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    part.replace(path)


def _start(
    folder: Path,
    settings: QuestdbSettings,
    java: Java,
    jar: Path,
    held: int,
    conf: Mapping[str, str],
) -> Address:
    (folder / LOCK).write_text("")  # the number of an earlier server
    password = _read_password(folder, create=True)

    def serve(port: int) -> Address:
        _configure(folder, settings, password, {"http.net.bind.to": f"{HOST}:{port}", **conf})
        server = _launch(folder, settings, java, jar, held)
        (folder / LOCK).write_text(f"{server.pid}\n")  # for `stop` of another process
        address = _await_ready(folder, server, password)
        _write_record(folder, server.pid, address)
        return address

    # the port of the last start, which consoles and bookmarks have
    port = settings.port or int((_read_record(folder) or {}).get("port", 0))
    try:
        return serve(port)
    except PortTaken:
        if settings.port:
            raise
        return serve(0)


def _configure(
    folder: Path, settings: QuestdbSettings, password: str, more: Mapping[str, str]
) -> None:
    conf = {
        "http.user": USER,
        "http.password": password,
        "cairo.sql.copy.root": str(folder / "import"),
        "cairo.commit.mode": "sync" if settings.fsync else "nosync",
        **_CONF,
        **more,
    }
    _write_private(folder / "conf" / "server.conf", "".join(f"{k}={v}\n" for k, v in conf.items()))
    (folder / "conf" / "log.conf").write_text(_LOG_CONF)


def _launch(
    folder: Path, settings: QuestdbSettings, java: Java, jar: Path, held: int
) -> "subprocess.Popen[bytes]":
    for library in (folder / "tmp").glob("libquestdb*"):  # 9 MB that each killed server leaves
        library.unlink()
    command = [java.program, "-XX:+UseSerialGC", f"-Xmx{settings.heap}"]
    command += [f"-Djava.io.tmpdir={folder / 'tmp'}", "-XX:ErrorFile=hs_err_%p.log"]
    if java.major >= 24:  # otherwise it prints warnings
        command += [
            "--enable-native-access=io.questdb",
            "--sun-misc-unsafe-memory-access=allow",
        ]
    command += ["-p", str(jar), "-m", "io.questdb/io.questdb.ServerMain", "-d", str(folder)]
    # QDB_* would override the file
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QDB_")}
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            pass_fds=(held,),
            start_new_session=True,
        )


def _await_ready(folder: Path, server: "subprocess.Popen[bytes]", password: str) -> Address:
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            log = (folder / "server.log").read_text(errors="replace")
            if server.poll() is not None:
                raise _failure(folder, log)
            if listens := _LISTENS.search(log):
                address = Address(f"http://{HOST}:{listens[1]}", USER, password)
                if _answers(address):
                    return address
            if time.monotonic() > deadline:
                raise UpstreamError(
                    f"QuestDB was not ready after {PATIENCE:g} s: {_why(log)}",
                    hint=f"Read its log {folder / 'server.log'}.",
                )
            time.sleep(0.02)
    except BaseException:
        server.kill()
        server.wait()
        raise


def _failure(folder: Path, log: str) -> SettingsError | UpstreamError:
    if "could not bind socket" in log:
        return PortTaken(
            "another program uses the port of QuestDB",
            hint="Set QUOTEMILL_QUESTDB__PORT to another one, or to 0 for any free one.",
        )
    if "No space left" in log:
        return UpstreamError(
            f"the disk under {folder} is full", hint="Free some space, then start it."
        )
    return UpstreamError(
        f"QuestDB does not start: {_why(log)}", hint=f"Read its log {folder / 'server.log'}."
    )


def _why(log: str) -> str:
    lines = [x.strip() for x in log.splitlines() if x.strip() and not x.startswith("\tat ")]
    return " | ".join(([x for x in lines if _REASONS.search(x)] or lines[-4:])[:4])[:600]


def _answers(address: Address) -> bool:
    import httpx

    try:
        with (
            reading(address.url, UpstreamError),
            httpx.Client(trust_env=False, timeout=10.0) as client,
            client.stream(
                "GET",
                f"{address.url}/exec",
                params={"query": "select 1"},
                auth=(address.user or "", address.password or ""),
            ) as answer,
        ):
            return answer.status_code == 200
    except UpstreamError:
        return False


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _size(folder: Path) -> int:
    """The size of its files; a running server deletes some meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):  # skips a folder that is gone
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total
