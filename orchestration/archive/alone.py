"""A warehouse to oneself."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain

from loaders import sources
from loaders.engine.jobs import JOBS
from loaders.warehouse.lock import load_lock
from orchestration.archive.store import archive_lock
from orchestration.run.build_record import build_lock
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation


@contextmanager
def alone(warehouse: Warehouse) -> Iterator[None]:
    """Hold the locks of every source and lane that ever loaded, of builds and of the archive.

    Raises LockHeldError that names who holds one.
    """
    with warehouse.connect() as conn:
        lanes = set[str]()
        if has_relation(conn, JOBS):  # else nobody can load before this ends
            stored = conn.execute("select distinct lane from ops.ingestion_jobs").fetchall()
            lanes = {*sources.MODULES, *chain.from_iterable(stored)}
    with ExitStack() as held:
        for lane in sorted(lanes):
            held.enter_context(load_lock(warehouse, lane))
        held.enter_context(build_lock(warehouse))
        held.enter_context(archive_lock(warehouse))
        yield
