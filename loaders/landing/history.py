"""Old versions of rows that a file replaces or deletes, kept in the transaction that does."""

import psycopg

from loaders.landing.target import Target, names, quote
from quotemill.warehouse.history import KNOWN_UNTIL, SUFFIX


def keep_versions_sql(target: Target, known_until: str, rows: str) -> str:
    """INSERT of stored rows t into the table of old versions; `rows` goes on after the columns."""
    columns = list(target.types)
    name = f"{quote(target.schema)}.{quote(target.table + SUFFIX)}"
    return (
        f"insert into {name} ({names([*columns, KNOWN_UNTIL])}) "
        f"select {names(columns, 't')}, greatest({known_until}, t.fetched_at) {rows}"
    )


def keep_replaced(
    conn: psycopg.Connection,
    target: Target,
    *,
    order: str,
    replaces: str,
    near: str = "",
) -> None:
    """Keep the stored rows that the rows of `_land` will replace.

    order: of the rows of one key, the best first; `replaces`: whether l replaces t; `near`: a
    further condition on t
    """
    keys = names(target.key)
    best = f"select distinct on ({keys}) * from _land order by {order}"
    rows = (
        f"from ({best}) as l inner join {target.name} as t "
        f"on {target.equal(target.key, 't', 'l', cast=True)}{near} where {replaces}"
    )
    conn.execute(keep_versions_sql(target, target.cast("fetched_at", "l"), rows).encode())
