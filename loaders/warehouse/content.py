"""The name of what a warehouse holds, for rows that were fetched for it."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg

from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import may_read

CONTENT_ID = "content_id"  # in ops.settings
T = TypeVar("T")


class RestoredMeanwhile(LockHeldError):
    """The warehouse holds other content than the work was begun for."""

    def __init__(self) -> None:
        super().__init__(
            "the warehouse was restored in the meantime: this was for its earlier rows, "
            "and was not done",
            hint="Run it again.",
        )


def content_id(warehouse: Warehouse) -> str:
    """The random name of what the warehouse holds, another one after each restore.

    Rows that were fetched for the former content must not land: their cursors are ahead of what
    came back, and the days in between would stay missing.
    """
    with warehouse.connect() as conn:
        [(name,)] = conn.execute(
            "insert into ops.settings values (%s, %s) "
            "on conflict (key) do update set value = ops.settings.value returning value",
            (CONTENT_ID, find_content(conn) or secrets.token_hex(6)),
        )
    return str(name)


def fetched_folder(warehouse: Warehouse, content: str) -> Path:
    """The folder of rows that were fetched for what the warehouse holds, and wait to land."""
    return warehouse.home / "pipelines" / content


def find_content(conn: psycopg.Connection) -> str | None:
    """That name, before the first load the warehouse's own; None where it was never prepared."""
    if not may_read(conn, "ops", "settings"):
        return None
    query = "select value from ops.settings where key in (%s, 'warehouse_id') order by key limit 1"
    row = conn.execute(query, (CONTENT_ID,)).fetchone()
    return row[0] if row else None


def require_content(conn: psycopg.Connection, content: str | None) -> None:
    """Raises RestoredMeanwhile. From here to the end of the transaction a restore has to wait."""
    if find_content(conn) != content:
        raise RestoredMeanwhile


def ask_content(
    warehouse: Warehouse,
    content: str | None,
    work: Callable[[psycopg.Connection], T],
    *,
    patient: bool = True,
) -> T:
    """As `Warehouse.ask`, where the warehouse still holds that. Raises RestoredMeanwhile."""

    def fenced(conn: psycopg.Connection) -> T:
        require_content(conn, content)
        return work(conn)

    return warehouse.ask(fenced, patient=patient)
