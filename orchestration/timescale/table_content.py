"""The content of a table as two figures that do not depend on where its rows lie."""

from dataclasses import dataclass

import psycopg
from psycopg import sql


@dataclass(frozen=True)
class Content:
    """The content of a table; `hash` is the sum of the 64-bit hashes of its rows as text."""

    rows: int
    hash: int


def content(conn: psycopg.Connection, table: sql.Identifier) -> Content:
    query = sql.SQL(
        "select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from {} as t"
    )
    [(rows, total)] = conn.execute(query.format(table))
    return Content(rows, int(total))
