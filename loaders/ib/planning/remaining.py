"""What a load of option chains leaves to do, and which command does it."""

from collections.abc import Sequence

import psycopg

from loaders.settings import Settings
from loaders.warehouse.postgres import Warehouse

WAITING = "select count(*)::int, count(distinct sample_time)::int from raw_ib.recapture where state = 'queued'"


def due(_: Settings, warehouse: Warehouse) -> Sequence[str]:
    """A line for each thing that is still due; asks the warehouse alone."""

    def look(conn: psycopg.Connection) -> Sequence[str]:
        row = conn.execute(WAITING).fetchone()
        waiting, slots = row or (0, 0)
        if not waiting:
            return []
        return [
            f"{waiting:,} contracts of {slots:,} slots wait to be captured again: "
            "`loaders run ib --retry-missed`, while their session lasts"
        ]

    return warehouse.ask(look)
