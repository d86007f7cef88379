"""Rows of tests in the columns and types that a landed table declares."""

import pyarrow as pa

from loaders.warehouse.tables import LandedTable


def conform(rows: pa.Table, table: LandedTable) -> pa.Table:
    return rows.select(table.schema.names).cast(table.schema)
