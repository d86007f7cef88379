"""A table of plain PostgreSQL: what landing asks of a table, and what other editions replace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import psycopg

from loaders.landing.target import Target


@dataclass(frozen=True)
class PlainTable:
    """The table that a file lands in."""

    target: Target
    takes_copies: ClassVar[bool] = True  # of whole files, straight

    def begin(self, conn: psycopg.Connection) -> None:
        """Prepare the transaction of the rows."""

    def near(self, conn: psycopg.Connection) -> str:  # noqa: ARG002
        """A further condition on stored rows t that every row of `_land` meets, with `and`."""
        return ""

    def keep_differing(
        self,
        conn: psycopg.Connection,  # noqa: ARG002
        columns: Sequence[str],  # noqa: ARG002
    ) -> bool:
        """Whether `_land` has rows for the upsert, which itself leaves out what is there."""
        return True

    def delete_rows(self, conn: psycopg.Connection, ctes: str, keys: str) -> int:
        """Delete rows by the query of their keys, which reads `ctes`; the number deleted."""
        target = self.target
        same = target.equal(target.key, "t", "s")
        [(deleted,)] = conn.execute(
            target.with_changes(
                f"delete from {target.name} as t using stale as s where {same} returning",
                "select count(*) from written",
                before=f"{ctes}, stale as materialized ({keys}), ",
            )
        )
        return int(deleted)
