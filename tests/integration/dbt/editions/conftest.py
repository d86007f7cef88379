"""A warehouse on the server of a test's edition."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.editions.aggregates import BUILD, DAYS, one_day
from tests.integration.dbt.editions.hypertables import make_hypertable
from tests.integration.dbt.test_rollups import Stored


@pytest.fixture(params=["apache", "tsl"])
def edition(request: pytest.FixtureRequest) -> str:
    """Both editions of TimescaleDB in turn."""
    return str(request.param)


@pytest.fixture
def warehouse(edition: str, database_of: Callable[..., str], tmp_path: Path) -> Warehouse:
    """Empty landed tables, and no model."""
    return Parsed.prepared(database_of(edition, Parsed.DATABASE), tmp_path)


@pytest.fixture
def built(edition: str, conn: psycopg.Connection, dbt: Dbt) -> Stored:
    """Two days of two codes, built as continuous aggregates."""
    make_hypertable(conn)
    stored = Stored(conn, {})
    stored.land(row for day in DAYS[:2] for row in one_day(day, "sh600000", "sz000002"))
    dbt(*BUILD)
    return stored
