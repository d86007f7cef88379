"""The lock that archive, retention and restore of a warehouse share."""

import contextlib
from collections.abc import Iterator

import psycopg

from loaders.errors import LockHeldError
from loaders.warehouse.postgres import Warehouse

LOCK = "quotemill:archive"


@contextlib.contextmanager
def archive_lock(warehouse: Warehouse) -> Iterator[None]:
    """Hold the archive's lock. Raises LockHeldError, UpstreamError if the warehouse goes away."""
    with contextlib.closing(
        warehouse.connect(autocommit=True, application_name="quotemill archive lock")
    ) as conn:
        [(is_taken,)] = conn.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))", (LOCK,)
        )
        if not is_taken:
            raise LockHeldError(
                "another archive, retention or restore of this warehouse is running",
                hint="wait for it to end",
            )
        try:
            yield
        except psycopg.OperationalError as error:
            raise warehouse.away(error) from None
        finally:
            # the server may take a while to notice a closed connection
            with contextlib.suppress(psycopg.Error):
                conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (LOCK,))
