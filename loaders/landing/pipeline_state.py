"""dlt's own rows in the warehouse: the state of a pipeline, written with each package of rows.

A state holds every cursor of its pipeline (79 kB for 6,000 codes), and dlt reads the newest alone.
Those before it would grow to a gigabyte a year.
"""

from typing import Any

import psycopg
from dlt.common.storages.live_schema_storage import LiveSchemaStorage
from psycopg import sql

from quotemill.warehouse.schemas import has_relation

STATES = 5  # of a pipeline: dlt restores the newest of a package that has landed
LOADS_AGE = "30 days"  # one row a package; those that a remaining state belongs to stay


def prune(conn: psycopg.Connection, schema: str, pipeline: str) -> int:
    """Delete the pipeline's old states and the old rows of packages; the number of states.

    The caller holds the pipeline's lock. Does nothing before the first package has landed.
    """
    states, loads = (sql.Identifier(schema, f"_dlt_{name}") for name in ("pipeline_state", "loads"))
    if not all(has_relation(conn, table.as_string(conn)) for table in (states, loads)):
        return 0
    pruned = conn.execute(
        sql.SQL(
            """
            delete from {states} where pipeline_name = %(pipeline)s and _dlt_load_id < (
                select l.load_id
                from {states} as s
                inner join {loads} as l on s._dlt_load_id = l.load_id
                where s.pipeline_name = %(pipeline)s and l.status = 0
                group by l.load_id
                order by l.load_id desc
                limit 1 offset %(older)s
            )
            """
        ).format(states=states, loads=loads),
        {"pipeline": pipeline, "older": STATES - 1},
    ).rowcount
    conn.execute(
        sql.SQL(
            "delete from {loads} as l where l.inserted_at < now() - {age}::interval "
            "and not exists (select 1 from {states} as s where s._dlt_load_id = l.load_id)"
        ).format(states=states, loads=loads, age=sql.Literal(LOADS_AGE))
    )
    return pruned


class Schemas(LiveSchemaStorage):
    """Schemas of a pipeline, not read again from its folder, which nobody else writes."""

    def __getitem__(self, name: str) -> Any:
        return self.live_schemas.get(name) or super().__getitem__(name)
