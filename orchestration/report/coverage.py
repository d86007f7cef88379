"""Coverage of all sources as grids: how much of the wanted data is there."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import psycopg

from loaders import sources
from loaders.engine.coverage import Period
from loaders.settings import Settings
from orchestration.report import grid
from orchestration.report.grid import Grid
from quotemill.warehouse.postgres import Warehouse


def grids(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    since: date,
    as_of: datetime,
    freshness: Sequence[Mapping[str, Any]],
    until: date = date.max,
    names: Iterable[str] = tuple(sources.MODULES),
) -> list[Grid]:
    """A grid of each loaded dataset of the named sources; `freshness` has a row for each."""
    schemas = {
        "market": warehouse.market_schema,
        **{name: warehouse.inner_schema(name) for name in ("futures", "options", "qa")},
    }
    due = {
        row["dataset"]: min(day, until)
        for row in freshness
        if (day := row["expected_date"] or row["last_date"])
    }
    period = Period(settings, schemas, since, as_of, due)
    filled = [
        grid.fill(conn, coverage)
        for name in names
        for coverage in sources.find(name).insight.coverage(conn, period)
    ]
    return [filled_grid for filled_grid in filled if filled_grid.wanted]
