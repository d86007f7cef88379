"""Sizes of what is stored, their growth, and the free space.

Each run records its sizes in ops.metrics, so that later readings show the growth.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
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
# the oldest of the last 30 days, and how often its age goes into a month
_MEASURED = """
    select distinct on (source)
        source, value::bigint, 30 * 86400 / extract(epoch from now() - measured_at)::float8
    from ops.metrics
    where stage = %s and name = %s
        and measured_at between now() - interval '30 days' and now() - interval '1 day'
    order by source, measured_at
"""


@dataclass(frozen=True)
class Space:
    """Sizes in bytes, indexes included.

    `tables`: rows of the largest tables.
    `others`: bytes of the other tables; `total`: of all.
    `archive`: bytes of the files of the archive.
    `growth`: bytes a month, by names as in `sizes`, where a run measured them a day ago or more.
    """

    tables: list[dict[str, Any]]
    others: int
    total: int
    archive: int
    disks: list[Disk]
    growth: Mapping[str, int] = field(default_factory=dict)

    @property
    def days_left(self) -> int | None:
        """Days until the first disk is full if all tables are on it; None: they do not grow."""
        growth = self.growth.get("", 0)
        return int(30 * self.disks[0].free / growth) if self.disks and growth > 0 else None

    def as_json(self) -> dict[str, Any]:
        tables = [
            table | {"growth_a_month": self.growth.get(f"{table['schema']}.{table['relation']}")}
            for table in self.tables
        ]
        return {
            "tables": tables,
            "total_bytes": self.total,
            "growth_a_month": self.growth.get(""),
            "disks": [asdict(disk) for disk in self.disks],
            "days_left": self.days_left,
        }

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
    known = Space(shown, others, total, archive, list_disks(settings))
    if not has_relation(conn, "ops.metrics"):
        return known
    now = known.sizes()
    measured = conn.execute(_MEASURED, (STAGE, SIZE))
    growth = {
        name: round((now[name] - was) * months) for name, was, months in measured if name in now
    }
    return replace(known, growth=growth)


def format_bytes(count: int | None) -> str:
    """A size in the largest unit in which it is at least 1, such as 3.4 GiB."""
    left = float(count or 0)
    for unit in ("B", "kiB", "MiB", "GiB"):
        if left < 1024:
            return f"{left:,.0f} {unit}" if unit == "B" else f"{left:,.1f} {unit}"
        left /= 1024
    return f"{left:,.1f} TiB"


def format_growth(count: int | None) -> str:
    """A signed size; a dash for None."""
    return "–" if count is None else ("−" if count < 0 else "+") + format_bytes(abs(count))
