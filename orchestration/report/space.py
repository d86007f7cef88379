"""Sizes of what is stored, and the free space.

Each report records its sizes in ops.metrics, so that later ones show the growth.
"""

from dataclasses import dataclass
from typing import Any

import psycopg

from loaders.engine.metrics import Metric
from loaders.settings import Settings
from loaders.warehouse.disks import Disk, list_disks
from loaders.warehouse.ownership import owned_schemas
from loaders.warehouse.space import space
from quotemill.warehouse.schemas import has_relation

MOST = 25  # tables listed by name, the largest
# of ops.metrics, where `source` is a table, `archive`, or empty for all tables
STAGE, SIZE = "space", "bytes"


@dataclass(frozen=True)
class Space:
    """Sizes in bytes, indexes included.

    `tables`: rows of the largest tables.
    `others`: bytes of the other tables; `total`: of all.
    `archive`: bytes of the files of the archive.
    """

    tables: list[dict[str, Any]]
    others: int
    total: int
    archive: int
    disks: list[Disk]

    def sizes(self) -> dict[str, int]:
        """Bytes by table, with all tables under the empty name, and the archive."""
        named = {f"{t['schema']}.{t['relation']}": int(t["total_bytes"]) for t in self.tables}
        return {"": self.total, **named, **({"archive": self.archive} if self.archive else {})}

    def metrics(self) -> list[Metric]:
        return [Metric(STAGE, name, SIZE, size) for name, size in self.sizes().items()]


def read_space(conn: psycopg.Connection, settings: Settings) -> Space:
    """Read the sizes, with indexes and the chunks of hypertables."""
    tables = space(conn, sorted(owned_schemas(conn)))
    total = sum(table["total_bytes"] or 0 for table in tables)
    archive = 0
    if has_relation(conn, "ops.archive_files"):
        [(archive,)] = conn.execute(
            "select coalesce(sum(size_bytes), 0)::bigint from ops.archive_files"
        )
    shown = [table for table in tables[:MOST] if table["total_bytes"]]
    others = total - sum(table["total_bytes"] for table in shown)
    return Space(shown, others, total, archive, list_disks(settings))
