"""The archive of a warehouse, opened by one command at a time."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from loaders.settings import Settings
from loaders.warehouse import migrate, turns
from orchestration.archive import swap
from orchestration.archive.folder import Folder, archive_folder
from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse

LOCK = "quotemill:archive"


@dataclass
class Result:
    """The result of a command; its JSON has the exit code too."""

    @property
    def exit_code(self) -> int:
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exit_code": self.exit_code}


@dataclass(frozen=True)
class Archive:
    """The archive of a market schema.

    schema:       that of the archived views, options
    warehouse_id: the owner of the folder
    finished:     replacements that an earlier run had left unfinished
    """

    settings: Settings
    warehouse: Warehouse
    folder: Folder
    schema: str
    warehouse_id: str
    finished: int
    _lock: psycopg.Connection

    def confirm(self) -> None:
        """Check that the lock is held, before files change. Raises LockHeldError."""
        try:
            self._lock.execute("select 1")
        except psycopg.OperationalError:
            raise LockHeldError(
                "the archive lost its lock because its connection broke: another archive "
                "or a restore may have started",
                hint="Run it again: archived days are kept.",
            ) from None


@contextlib.contextmanager
def open_archive(settings: Settings, warehouse: Warehouse, *, dry_run: bool) -> Iterator[Archive]:
    """Lock the archive, and finish what an earlier command left, unless in a dry run.

    Raises LockHeldError; SettingsError for the folder of another warehouse; Damaged.
    """
    folder = archive_folder(settings, warehouse)
    schema = warehouse.inner_schema("options")
    with archive_lock(warehouse) as lock:
        own = migrate.warehouse_id(warehouse)
        folder.require_own(own)
        finished = 0
        if not dry_run:
            finished = swap.finish_started(warehouse, folder, schema)
            folder.discard_unfinished("view=*/month=*")  # small ones are written again
        try:
            yield Archive(settings, warehouse, folder, schema, own, finished, lock)
        finally:
            folder.discard_pending()


@contextlib.contextmanager
def archive_lock(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    """Hold the archive's lock, and yield the session that does.

    Raises LockHeldError, UpstreamError if the warehouse goes away.
    """
    conn = warehouse.connect(autocommit=True, application_name="quotemill archive lock")
    with contextlib.closing(conn), turns.noticing_loss(warehouse):
        if holder := turns.take(conn, LOCK):
            raise LockHeldError(
                f"another archive, retention or restore of this warehouse is running: {holder}",
                hint="Wait for it to end.",
            )
        try:
            yield conn
        finally:
            turns.let_go(conn)
