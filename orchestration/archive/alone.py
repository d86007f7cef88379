"""A warehouse to oneself."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import chain

from loaders import sources
from loaders.engine.jobs import JOBS
from loaders.warehouse import turns
from loaders.warehouse.lock import load_lock
from orchestration.archive.store import archive_lock
from orchestration.run.build_record import build_lock
from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation


@contextmanager
def alone(warehouse: Warehouse) -> Iterator[None]:
    """Hold the locks of every source and lane that ever loaded, of builds and of the archive.

    A warehouse that was never prepared has no lanes: nobody prepares it before this ends. Raises
    LockHeldError that names who holds one.
    """
    with ExitStack() as held:
        conn = warehouse.connect(autocommit=True, application_name="quotemill warehouse lock")
        held.enter_context(closing(conn))
        if not has_relation(conn, JOBS):
            if holder := turns.take(conn, turns.MIGRATE):
                raise LockHeldError(
                    f"{holder} is preparing the warehouse", hint="Wait for it to end."
                )
            held.callback(turns.let_go, conn)
        lanes = set[str]()
        if has_relation(conn, JOBS):  # the one before may have prepared it
            stored = conn.execute("select distinct lane from ops.ingestion_jobs").fetchall()
            lanes = {*sources.MODULES, *chain.from_iterable(stored)}
        for lane in sorted(lanes):
            held.enter_context(load_lock(warehouse, lane))
        held.enter_context(build_lock(warehouse))
        held.enter_context(archive_lock(warehouse))
        yield
