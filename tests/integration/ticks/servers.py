"""A real QuestDB for tests, started by the code that users start theirs with."""

import functools
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from loaders.settings import Settings
from loaders.ticks.open_store import local_address
from loaders.ticks.questdb import server
from loaders.ticks.questdb.jar import VERSION, find_java, present_jar
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.settings import QuestdbSettings
from quotemill.errors import QuotemillError
from quotemill.ticks.questdb_http import Address
from tests.homes import scratch
from tests.requirements import require

AT_END = ExitStack()  # closed once all tests of this process have run
# a port of its own, and no waiting for a disk that need not survive a power cut
SMALL = QuestdbSettings(port=0, heap="256m", fsync=False, wait=120.0)
# threads without work sleep early: half of an idle server's time
IDLE = {
    f"{pool}.worker.{step}.threshold": rounds
    for pool in ("shared", "wal.apply")
    for step, rounds in (("yield", "5"), ("nap", "50"), ("sleep", "100"))
}
# the classes that a server of this version loads, for all test runs of this machine: with them it
# starts in half the time
CLASSES = scratch() / f"quotemill-tests-{os.getuid()}-questdb-{VERSION}.jsa"


@functools.cache
def share_classes() -> None:
    """Let servers read the shared classes, which the first run of a machine has one write."""
    options = os.environ.get("JAVA_TOOL_OPTIONS", "")
    if not CLASSES.exists():
        with tempfile.TemporaryDirectory(prefix="qm-questdb-") as name:
            folder, written = Path(name) / "questdb", CLASSES.with_suffix(f".{os.getpid()}")
            os.environ["JAVA_TOOL_OPTIONS"] = f"{options} -XX:ArchiveClassesAtExit={written}"
            server.start(folder, SMALL)
            server.remove(folder)
            written.rename(CLASSES)
    os.environ["JAVA_TOOL_OPTIONS"] = f"{options} -XX:SharedArchiveFile={CLASSES}"


def require_questdb() -> None:
    """Java, the jar and the client; none of them is downloaded by a test."""
    try:
        find_java(SMALL)
        missing = "" if present_jar(SMALL) else "its jar was not fetched: quotemill questdb fetch"
    except QuotemillError as error:
        missing = str(error)
    if find_spec("questdb") is None:
        missing = "its client is not installed: make install"
    require("questdb", not missing, f"QuestDB cannot run here: {missing}")
    share_classes()


def start(
    folder: Path, settings: QuestdbSettings = SMALL, conf: Mapping[str, str] | None = None
) -> None:
    """Start or restart a server; in it tables can be suspended by SQL (development mode)."""
    server.start(folder, settings, conf={"dev.mode.enabled": "true"} | IDLE | dict(conf or {}))


def restart(folder: Path, conf: Mapping[str, str] | None = None) -> None:
    """As after a change of its configuration."""
    server.stop(folder)
    start(folder, conf=conf)


@functools.cache
def shared_server() -> Path:
    """The folder of one server for all tests of this process; tests/conftest.py ends it."""
    return AT_END.enter_context(a_server())


def url_of(folder: Path) -> str:
    """The setting that names a server."""
    address = address_of(folder)
    scheme, _, place = address.url.partition("://")
    return f"{scheme}://{address.user}:{address.password}@{place}"


@contextmanager
def a_server(
    settings: QuestdbSettings = SMALL, conf: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """The folder of a server that runs."""
    require_questdb()
    with tempfile.TemporaryDirectory(prefix="qm-questdb-") as name:
        folder = Path(name) / "questdb"
        try:
            start(folder, settings, conf)
            yield folder
        finally:
            server.remove(folder)


def address_of(folder: Path) -> Address:
    """Raises StoreError while it is down."""
    return local_address(Settings(home=folder.parent))


def open_at(
    folder: Path, way: str | None = None, settings: QuestdbSettings = SMALL
) -> QuestdbStore:
    """A store on the server of a folder, by one way of writing."""
    return QuestdbStore(
        lambda: address_of(folder),
        settings,
        label="QuestDB",
        way=way,  # type: ignore[arg-type]
    )


def kill(folder: Path) -> None:
    """As if the power were cut, and its process is gone when this returns."""
    pid = server.status(folder).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server.find_running(folder) is not None:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
