"""Coverage of all sources as grids: how much of the wanted data is there."""

from datetime import date, datetime

import psycopg

from loaders import sources
from loaders.check import Check
from loaders.engine.coverage import Period
from loaders.settings import Settings
from orchestration.checks.status import Status
from orchestration.report import grid
from orchestration.report.grid import Grid
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import INNER_SCHEMAS


def grids(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    since: date,
    as_of: datetime,
    state: Status,
    until: date = date.max,
) -> list[Grid]:
    """A grid of each loaded dataset, by the freshness of the state.

    A source that cannot be read is one more of its problems, and costs no other its grids.
    """
    schemas = {
        "market": warehouse.market_schema,
        **{name: warehouse.inner_schema(name) for name in INNER_SCHEMAS},
    }
    due = {
        row["dataset"]: min(day, until)
        for row in state.freshness
        if (day := row["expected_date"] or row["last_date"])
    }
    period = Period(settings, schemas, since, as_of, due)
    filled: list[Grid] = []
    loaded = {row["source"] for row in state.freshness}
    for name in (name for name in sources.MODULES if name in loaded):
        try:
            with conn.transaction():
                read = sources.find(name).insight.coverage(conn, period)
                filled.extend(grid.fill(conn, coverage) for coverage in read)
        except psycopg.Error as error:
            if conn.closed:
                raise
            text = f"coverage of {name} cannot be read: {' '.join(str(error).split())}"
            state.problems.append(
                Check("coverage", "warn", text, "quotemill findings", subject=name)
            )
    return [filled_grid for filled_grid in filled if filled_grid.wanted]
