"""A warehouse on the server of a test's edition."""

from collections.abc import Callable
from pathlib import Path

import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Parsed


@pytest.fixture(params=["apache", "tsl"])
def edition(request: pytest.FixtureRequest) -> str:
    """Both editions of TimescaleDB in turn."""
    return str(request.param)


@pytest.fixture
def warehouse(edition: str, database_of: Callable[..., str], tmp_path: Path) -> Warehouse:
    """Empty landed tables, and no model."""
    return Parsed.prepared(database_of(edition, Parsed.DATABASE), tmp_path)
