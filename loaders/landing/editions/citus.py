"""A table that Citus has spread over nodes (loaders/warehouse/distribution.py).

Its statements are those of a plain table, made of CTEs: a distributed one takes no temp table in a
DELETE, and no now() in the condition of an upsert.
"""

from dataclasses import dataclass, replace

import psycopg
import pyarrow.parquet as pq

from loaders.landing.editions.plain import PlainTable
from loaders.landing.staging import list_keys
from loaders.landing.target import LATEST, Target
from loaders.warehouse.distribution import add_codes, is_distributed, relate_codes


@dataclass(frozen=True)
class DistributedTable(PlainTable):
    """A table on the nodes of Citus."""

    def codes_relation(self) -> str:
        return relate_codes("%s", is_distributed=True)


def find_distributed(
    conn: psycopg.Connection, target: Target, file: pq.ParquetFile
) -> DistributedTable | None:
    """The table, where it is distributed; then the codes of the file are recorded.

    Not with the rows: loads of other tables that have a new code would wait for them.
    """
    if not is_distributed(conn, target.qualified):
        return None
    add_codes(conn, list_keys(file, str(target.entity)))
    [(latest,)] = conn.execute(f"select quote_literal({LATEST}) || '::timestamptz'".encode())
    return DistributedTable(replace(target, latest=latest))
