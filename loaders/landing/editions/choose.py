"""The choice of the edition that a table belongs to."""

from dataclasses import replace

import psycopg
import pyarrow.parquet as pq

from loaders.landing.editions.plain import PlainTable
from loaders.landing.editions.timescale import find_compressed
from loaders.landing.staging import list_keys
from loaders.landing.target import LATEST, Target
from loaders.warehouse.distribution import add_codes, is_distributed


def open_table(conn: psycopg.Connection, target: Target, file: pq.ParquetFile) -> PlainTable:
    """The table that a file is about to land in.

    Of one that Citus has spread over nodes the codes of the file are recorded, not with the rows:
    loads of other tables that have a new code would wait for them. Its statements are those of a
    plain table, made of CTEs: it takes no temp table in a DELETE, and no now() in the condition of
    an upsert.
    """
    if compressed := find_compressed(conn, target):
        return compressed
    if is_distributed(conn, target.qualified):
        add_codes(conn, list_keys(file, str(target.entity)))
        [(latest,)] = conn.execute(f"select quote_literal({LATEST}) || '::timestamptz'".encode())
        target = replace(target, latest=latest)
    return PlainTable(target)
