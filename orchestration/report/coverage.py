"""Coverage as grids: of what was wanted, how much is there."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import psycopg

from loaders.settings import Settings
from loaders.warehouse.postgres import Warehouse
from orchestration.report import coverage_futures, coverage_options, coverage_shares
from orchestration.report.grid import Grid


def grids(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    since: date,
    as_of: datetime,
    freshness: Sequence[Mapping[str, Any]],
) -> list[Grid]:
    """A grid of each dataset that `freshness` has: what is not loaded has none."""
    schemas = {
        "market": warehouse.market_schema,
        **{name: warehouse.inner_schema(name) for name in ("futures", "options", "qa")},
    }
    due = {row["dataset"]: row["expected_date"] or row["last_date"] for row in freshness}
    found = [
        *coverage_shares.grids(conn, schemas, settings, since, due),
        *coverage_options.grids(conn, schemas, settings, since, as_of, due),
        *coverage_futures.grids(conn, schemas, since, due),
    ]
    return [grid for grid in found if grid.wanted]
