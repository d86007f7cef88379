"""A warehouse on the server of a test's edition."""

from collections.abc import Callable
from pathlib import Path

import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.conftest import DBT_DATABASE
from tests.integration.dbt.conftest import prepared


@pytest.fixture
def warehouse(edition: str, database_of: Callable[..., str], tmp_path: Path) -> Warehouse:
    """Empty landed tables, and no model."""
    return prepared(database_of(edition, DBT_DATABASE), tmp_path)
