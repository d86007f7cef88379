"""The lock of a build: free for the next one as soon as a build ended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.errors import LockHeldError
from loaders.warehouse.postgres import Warehouse
from orchestration.run.build_record import build_lock


def test_a_released_build_lock_is_free_at_once(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    opened: list[psycopg.Connection] = []

    class Late(Warehouse):
        """Its server takes long to notice that a connection was closed."""

        def connect(self, **options: Any) -> psycopg.Connection:
            conn = super().connect(**options)
            opened.append(conn)
            conn.close = lambda: None  # type: ignore[method-assign]
            return conn

    warehouse = Late(new_database(), "test", False, "market", None, "test", tmp_path)
    with build_lock(warehouse), pytest.raises(LockHeldError), build_lock(warehouse):
        pass
    with build_lock(warehouse):
        pass
    assert len(opened) == 3
    for conn in opened:
        psycopg.Connection.close(conn)
