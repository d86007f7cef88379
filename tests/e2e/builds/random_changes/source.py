"""Random changes of the tables of one source."""

import random
from collections.abc import Iterable, Sequence
from datetime import date

import psycopg

from loaders.landing import change_feed
from loaders.sources import landed_tables

_TABLES = {table.qualified: table for table in landed_tables()}


class SourceChanges:
    """What the changes of every source need: chance, and deletions that the feed knows."""

    def __init__(self, conn: psycopg.Connection, chance: random.Random) -> None:
        self.conn = conn
        self.random = chance

    @property
    def kinds(self) -> list[str]:
        """The names of its changes: the public methods of its class."""
        return [name for name in vars(type(self)) if not name.startswith("_")]

    def days_in_a_row(self, days: Sequence[date]) -> list[date]:
        first = self.random.randrange(len(days))
        return list(days[first : first + self.random.choice((1, 1, 2, 5))])

    def is_likely(self) -> bool:
        return self.random.random() < 0.8

    def delete(self, table: str, condition: str) -> None:
        """Delete rows as a load does that replaces a unit: the feed has their keys and days."""
        landed = _TABLES[table]
        self.conn.execute(
            (
                f"with gone as (delete from {table} where {condition} returning *) "
                + change_feed.insert_changes_sql(
                    table, "gone", key=landed.entity or "''", day=landed.day
                )
            ).encode()
        )

    def set(self, key: str, values: Iterable[str]) -> None:
        self.conn.execute(
            "insert into ops.settings (key, value) values (%s, %s) "
            "on conflict (key) do update set value = excluded.value",
            (key, self.random.choice(list(values))),
        )
