"""The connection to a QuestDB: address, writer, and patience while it is away."""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar

import pyarrow as pa

from loaders.ticks.questdb.ilp import IlpWriter
from loaders.ticks.questdb.staging import StageWriter, find_stage
from loaders.ticks.settings import QuestdbSettings
from quotemill.errors import SettingsError
from quotemill.ticks.questdb_http import Address, QuestdbHttp, StoreAway, StoreError

T = TypeVar("T")
BYTES_PER_TICK = 800  # while it is written: in QuestDB its file, its log and its partition
MIN_FREE = 2 * 2**30  # bytes of the disk beside those of a day
MORE_SPACE = "Free some space."
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Writer(Protocol):
    """`most_rows`: of a transaction; None: as many as there are."""

    @property
    def most_rows(self) -> int | None: ...

    def send(self, name: str, parts: Iterable[pa.Table], symbols: Sequence[str]) -> None: ...

    def close(self) -> None: ...


class Connection:
    """A connection that is opened at first use, and again after a break.

    Not thread-safe.

    `address` is asked again after each break: a local server may come back on another port. `way`:
    how rows get there; None: by the stage if the server reads our disk, else by ILP.
    """

    def __init__(
        self,
        address: Callable[[], Address],
        settings: QuestdbSettings,
        label: str,
        way: Literal["stage", "ilp"] | None,
    ) -> None:
        self._address, self._settings, self._label, self._way = address, settings, label, way
        self._http: QuestdbHttp | None = None
        self._writer: Writer | None = None
        self._has_answered = False

    def retry(self, work: Callable[[], T]) -> T:
        """Do the work; repeat it for a while where the server went away.

        A wrong address or a server that is not up is an error at once.
        """
        deadline, pause = 0.0, 0.1
        while True:
            try:
                result = work()
            except StoreAway:
                self.close()
                now = time.monotonic()
                deadline = deadline or now + self._settings.wait
                if not self._has_answered or now >= deadline:
                    raise
                time.sleep(pause)
                pause = min(pause * 1.5, 2.0)
            else:
                self._has_answered = True
                return result

    def another(self) -> "Connection":
        """A further connection to the same server, for another thread."""
        other = Connection(self._address, self._settings, self._label, self._way)
        other._has_answered = self._has_answered
        return other

    def http(self) -> QuestdbHttp:
        if self._http is None:
            self._http = QuestdbHttp(self._address())
        return self._http

    def writer(self) -> Writer:
        if self._writer is None:
            http = self.http()
            stage = find_stage(http) if self._way != "ilp" and _is_local(http.address) else None
            if self._way == "stage" and stage is None:
                raise StoreError(f"{self._label} cannot read Parquet files of this machine")
            ilp = "line.http.enabled"
            if stage is None and http.parameters(ilp).get(ilp) == "false":
                raise SettingsError(
                    f"{self._label} does not accept rows over HTTP: its setting {ilp} is false",
                    hint=f"Write {ilp}=true into its server.conf, then restart it.",
                )
            self._writer = stage or IlpWriter(http.address)
        return self._writer

    def free_bytes(self) -> int | None:
        """Free space of the server's disk; None where we do not write to it."""
        writer = self.writer()
        return shutil.disk_usage(writer.disk).free if isinstance(writer, StageWriter) else None

    def find_shortage(self, ticks: int = 0) -> str | None:
        """Why so many ticks cannot be written in one transaction; None too if that is unknown.

        A full disk kills the server, so no day is started on one that is nearly full.
        """
        free = self.free_bytes()
        if free is None or free >= MIN_FREE + ticks * BYTES_PER_TICK:
            return None
        return (
            f"only {free / 2**30:,.1f} GiB are free under {self._label}, too little for a "
            "day of ticks"
        )

    def close(self) -> None:
        http, writer = self._http, self._writer
        self._http = self._writer = None
        if writer is not None:
            writer.close()
        if http is not None:
            http.close()


def _is_local(address: Address) -> bool:
    host = address.url.partition("://")[2].rpartition(":")[0]
    return host in _LOOPBACK
