"""The warehouse that a QuestDB serves.

One row in a table, written by its first load.

A second warehouse would stamp the ticks with its own segments and take out what its schedule has
otherwise.
"""

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from loaders.ticks.tables import WAREHOUSE
from loaders.warehouse.migrate import warehouse_id
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse

RELEASE = f"DROP TABLE {WAREHOUSE.name}"
_TS = datetime(1970, 1, 1, tzinfo=UTC)  # the table's key: one row


@dataclass(frozen=True)
class WarehouseMark:
    """`label` is for people and holds no secret."""

    warehouse_id: str
    label: str

    def as_table(self) -> pa.Table:
        return pa.Table.from_pylist([vars(self) | {"ts": _TS}], schema=WAREHOUSE.schema)


def mark_of(warehouse: Warehouse, home: Path) -> WarehouseMark:
    """The mark of a warehouse, with the home and machine that load it."""
    label = f"{warehouse.label}, home {home} on {socket.gethostname()}"
    return WarehouseMark(warehouse_id(warehouse), label)


def require_same(rows: pa.Table, mark: WarehouseMark, store: str) -> None:
    """Raise SettingsError if `rows` of WAREHOUSE name another warehouse than `mark`."""
    for row in rows.to_pylist():
        if row["warehouse_id"] != mark.warehouse_id:
            raise SettingsError(
                f"{store} has the ticks of another warehouse ({row['label']}), and one "
                "QuestDB serves only one warehouse",
                hint="Set QUOTEMILL_QUESTDB_URL to another QuestDB. If this warehouse replaces "
                f"the other one, run `{RELEASE}` in QuestDB, then `loaders run tq`.",
            )
