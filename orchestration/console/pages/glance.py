"""The warehouse at a glance: how much it holds, the last option chains, the newest day of ticks.

Sizes and rows are those that the server keeps: nothing here reads bars to count them.
"""

from collections.abc import Mapping
from typing import Any

import psycopg

from loaders.warehouse.ownership import owned_schemas
from loaders.warehouse.space import space
from orchestration.console.context import Console
from quotemill.readers import futures_coverage, option_slots
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

# landed tables whose rows are bars
_BARS = """
    select c.table_schema, c.table_name from information_schema.columns as c
    where left(c.table_schema, 4) = 'raw_' and c.column_name in ('open', 'high', 'low', 'close')
    group by c.table_schema, c.table_name having count(*) = 4
"""


def gather(console: Console) -> Mapping[str, Any]:
    """The figures; without a warehouse none."""
    warehouse = console.find_warehouse()
    if warehouse is None:
        return {"codes": None, "bars": 0, "bytes": 0, "chains": None, "ticks": None}
    return console.read(lambda conn: _read(conn, warehouse))


def _read(conn: psycopg.Connection, warehouse: Warehouse) -> Mapping[str, Any]:
    symbols = f"{warehouse.market_schema}.symbol_dim"
    codes = None
    if has_relation(conn, symbols):
        [(codes,)] = conn.execute(f"select count(*) from {symbols}".encode())
    tables = space(conn, sorted(owned_schemas(conn)))
    bars = set(conn.execute(_BARS).fetchall())
    day = option_slots.find_newest_session(conn)
    runs = option_slots.read_slots(conn, day) if day else []
    return {
        "codes": codes,
        "bars": sum(
            table["rows_estimate"] or 0
            for table in tables
            if (table["schema"], table["relation"]) in bars
        ),
        "bytes": sum(table["total_bytes"] or 0 for table in tables),
        "chains": {
            "day": day,
            "captured": sum(run.captured for run in runs),
            "planned": sum(run.planned for run in runs),
            "captures": len({(run.slot, run.kind) for run in runs}),
        }
        if day
        else None,
        "ticks": futures_coverage.read_newest_day(conn, warehouse.inner_schema("futures")),
    }
