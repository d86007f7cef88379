"""The way to a QuestDB: its address, the connection to it, how rows get there, and patience while it is away."""

import shutil
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

import pyarrow as pa

from loaders.ticks.questdb.http import QuestdbHttp, StoreAway
from loaders.ticks.questdb.ilp import IlpWriter
from loaders.ticks.questdb.server import Address
from loaders.ticks.questdb.staging import StageWriter, find_stage
from loaders.ticks.settings import QuestdbSettings
from loaders.ticks.store import StoreError

T = TypeVar("T")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Writer(Protocol):
    label: str

    def send(self, name: str, rows: pa.Table, symbols: Sequence[str]) -> None: ...

    def close(self) -> None: ...


class Link:
    """`where` tells the address, again after each break: a local server may come back on another port.
    `way` is how rows get there; None: the stage if the server reads our disk, else ILP. Not for several
    threads.
    """

    def __init__(
        self,
        where: Callable[[], Address],
        settings: QuestdbSettings,
        label: str,
        way: Literal["stage", "ilp"] | None,
    ) -> None:
        self._where, self._settings, self._label, self._way = where, settings, label, way
        self._http: QuestdbHttp | None = None
        self._writer: Writer | None = None
        self._met = False  # has it ever answered?

    def again(self, work: Callable[[], T]) -> T:
        """Do it; where the server went away after it had once answered, again and again for a while.
        A wrong address or a server that is not up is said at once."""
        deadline, pause = 0.0, 0.1
        while True:
            try:
                done = work()
            except StoreAway:
                self.close()
                now = time.monotonic()
                deadline = deadline or now + self._settings.wait
                if not self._met or now >= deadline:
                    raise
                time.sleep(pause)
                pause = min(pause * 1.5, 2.0)
            else:
                self._met = True
                return done

    def http(self) -> QuestdbHttp:
        if self._http is None:
            self._http = QuestdbHttp(self._where())
        return self._http

    def writer(self) -> Writer:
        if self._writer is None:
            http = self.http()
            stage = find_stage(http) if self._way != "ilp" and _is_local(http.address) else None
            if self._way == "stage" and stage is None:
                raise StoreError(f"{self._label} does not read Parquet files of this machine")
            self._writer = stage or IlpWriter(http.address)
        return self._writer

    def free_bytes(self) -> int | None:
        """Of the disk under the server; None where we do not write to it."""
        writer = self.writer()
        return shutil.disk_usage(writer.disk).free if isinstance(writer, StageWriter) else None

    def close(self) -> None:
        client, writer = self._http, self._writer
        self._http = self._writer = None
        if writer is not None:
            writer.close()
        if client is not None:
            client.close()


def _is_local(address: Address) -> bool:
    host = address.url.partition("://")[2].rpartition(":")[0]
    return host in _LOOPBACK
