"""The name of what a warehouse holds, for rows that were fetched for it."""

import secrets

from quotemill.warehouse.postgres import Warehouse

CONTENT_ID = "content_id"  # in ops.settings


def content_id(warehouse: Warehouse) -> str:
    """The random name of what the warehouse holds, another one after each restore.

    Rows that were fetched for the former content must not land: their cursors are ahead of what
    came back, and the days in between would stay missing.
    """
    with warehouse.connect() as conn:
        [(name,)] = conn.execute(
            "insert into ops.settings values (%s, coalesce("
            "(select value from ops.settings where key = 'warehouse_id'), %s)) "
            "on conflict (key) do update set value = ops.settings.value returning value",
            (CONTENT_ID, secrets.token_hex(6)),
        )
    return str(name)
