"""The choice of the edition that a table belongs to."""

import psycopg
import pyarrow.parquet as pq

from loaders.landing.editions.citus import find_distributed
from loaders.landing.editions.plain import PlainTable
from loaders.landing.editions.timescale import find_compressed
from loaders.landing.target import Target


def open_table(conn: psycopg.Connection, target: Target, file: pq.ParquetFile) -> PlainTable:
    """The table that a file is about to land in."""
    return (
        find_compressed(conn, target) or find_distributed(conn, target, file) or PlainTable(target)
    )
