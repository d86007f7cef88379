"""A warehouse with the landed tables of a test, and rows that land in it."""

from pathlib import Path
from typing import Any

import dlt
import psycopg
import pytest

from loaders.landing import load_job
from loaders.landing.load_job import Landed
from loaders.tdx.tables import KLINE_DAILY, REJECTED_ROW
from loaders.warehouse.content import content_id
from loaders.warehouse.tables import Batch, LandedTable
from quotemill.warehouse.postgres import Warehouse
from tests.bench import WarehouseQueries, prepared_warehouse


class LandingBench(WarehouseQueries):
    """A warehouse prepared for some landed tables, and a folder for dlt to work in."""

    def __init__(self, dsn: str, home: Path, *tables: LandedTable) -> None:
        self.warehouse = prepared_warehouse(dsn, home, tables)
        self.folder = home / "pipelines"

    def connect(self) -> psycopg.Connection:
        return self.warehouse.connect()

    def open(self) -> tuple[dlt.Pipeline, Landed]:
        return load_job.open_pipeline(
            self.warehouse,
            content_id(self.warehouse),
            lane="tdx",
            source="tdx",
        )

    def land_batches(self, table: LandedTable, *batches: Batch, **options: Any) -> Landed:
        pipeline, _ = self.open()
        return load_job.land(
            pipeline, self.warehouse, "tdx", table=table, batches=iter(batches), **options
        )

    def take_changes(self, table: LandedTable) -> list[tuple[Any, ...]]:
        """What the feed has of a table, which is then removed from it."""
        return sorted(
            self.rows(
                "delete from ops.changes where table_name = %s returning key, dates::text",
                table.qualified,
            )
        )


@pytest.fixture
def bench(warehouse_dsn: str, tmp_path: Path) -> LandingBench:
    """A warehouse for day bars; some modules have one of other tables."""
    return LandingBench(warehouse_dsn, tmp_path, KLINE_DAILY, REJECTED_ROW)


@pytest.fixture
def warehouse(bench: LandingBench) -> Warehouse:
    return bench.warehouse
