"""The lock of a load: one at a time for each source, on every machine that shares the warehouse."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing

import psycopg

from loaders.errors import LockHeldError, SettingsError
from loaders.warehouse.postgres import Warehouse

QUEUE_POLL = 0.5  # seconds between two tries at a lock that is waited for


class LoadLock:
    """The lock of a source: an advisory lock of the warehouse, which every machine sees, and a
    file's lock, which outlives a restart of the warehouse. Both vanish with their process."""

    def __init__(self, warehouse: Warehouse, source: str) -> None:
        self._warehouse, self._source = warehouse, source
        self._conn: psycopg.Connection | None = None
        self._file = _lock_file(warehouse, source)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with warehouse.connect() as conn:
                    raise self._held(conn) from None
            self._take()
        except BaseException:
            self.close()
            raise

    def confirm(self) -> None:
        """Have the lock still, or again after the warehouse was away. Raises LockHeldError where
        another machine took it meanwhile, WarehouseAway while it is away."""
        try:
            assert self._conn is not None
            self._conn.execute("select 1")
        except psycopg.OperationalError:
            self._take()

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
        os.close(self._file)

    def _take(self) -> None:
        if self._conn is not None:
            self._conn.close()
        name = f"quotemill load lock: {self._source}"
        conn = self._warehouse.connect(autocommit=True, application_name=name)
        row = conn.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))",
            (f"quotemill:load:{self._source}",),
        ).fetchone()
        if row != (True,):
            with conn:
                raise self._held(conn)
        self._conn = conn

    def _held(self, conn: psycopg.Connection) -> LockHeldError:
        holder = conn.execute(
            "select format('job %%s of %%s, running since %%s', job_id, requested_by, "
            "to_char(started_at, 'YYYY-MM-DD HH24:MI:SS TZ')) from ops.ingestion_jobs "
            "where source = %s and status = 'running' order by job_id desc limit 1",
            (self._source,),
        ).fetchone()
        return LockHeldError(
            f"another load of {self._source} holds the lock: "
            + (holder[0] if holder else "it has only just begun"),
            hint="wait for it, or stop it by `loaders cancel`; `loaders status` shows it",
        )


def _lock_file(warehouse: Warehouse, source: str) -> int:
    from loaders.warehouse.migrate import warehouse_id

    folder = warehouse.home / "pipelines"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{warehouse_id(warehouse)}-{source}.lock"
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise SettingsError(
            f"the folder {folder} cannot be used: {error.strerror}",
            hint="QUOTEMILL_HOME=<folder> moves everything the project writes",
        ) from None


def load_lock(
    warehouse: Warehouse, source: str, *, queue: Callable[[str], object] | None = None
) -> AbstractContextManager[LoadLock]:
    """Take the lock of a source. Raises LockHeldError that names the holder.

    With `queue` wait for it instead, after saying by `queue` what is waited for.
    """
    said = False
    while True:
        try:
            return closing(LoadLock(warehouse, source))
        except LockHeldError as held:
            if queue is None:
                raise
            if not said:
                queue(f"waiting: {held}")
                said = True
            time.sleep(QUEUE_POLL)
