"""The name of what a warehouse holds, for rows that were fetched for it."""

import secrets
from pathlib import Path

import psycopg

from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

CONTENT_ID = "content_id"  # in ops.settings


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
    if not has_relation(conn, "ops.settings"):
        return None
    query = "select value from ops.settings where key in (%s, 'warehouse_id') order by key limit 1"
    row = conn.execute(query, (CONTENT_ID,)).fetchone()
    return row[0] if row else None


def require_content(conn: psycopg.Connection, content: str) -> None:
    """Raises LockHeldError. From here to the end of the transaction a restore has to wait."""
    if find_content(conn) != content:
        raise restored_meanwhile()


def restored_meanwhile() -> LockHeldError:
    """The error of a load whose warehouse now holds other content."""
    return LockHeldError(
        "the warehouse was restored while this load ran: what it fetched is not landed",
        hint="run it again",
    )
