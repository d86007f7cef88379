"""The table that a file of rows lands in, and the SQL that names its columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psycopg

from loaders.landing.change_feed import insert_changes_sql
from loaders.warehouse.tables import key_name

# of rows that a table refuses
ROW_ERRORS = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
LATEST = "now() + interval '1 hour'"  # by the server's clock
# whether a stored row was fetched by a clock that was wrong
CLOCK_AHEAD = f"t.fetched_at > {LATEST}"


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: Iterable[str], alias: str = "") -> str:
    """Quoted columns with commas between them, of the relation `alias` if given."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + quote(column) for column in columns)


@dataclass(frozen=True)
class Target:
    """Where a file lands, and how; what its resource said of the table.

    key: columns of the primary key; none of dlt's own tables
    unit: columns of a unit that is replaced as one, such as a day of ticks
    entity, day: columns of key and date by which the change feed reports the table
    indexes: names of its secondary indexes
    keeps_history: whether rows that are replaced or deleted go into the table of old versions
    types: the columns in the database, with their types
    latest: the SQL of the time after which nothing can have been fetched
    """

    schema: str
    table: str
    key: tuple[str, ...]
    unit: tuple[str, ...] = ()
    entity: str | None = None
    day: str | None = None
    indexes: tuple[str, ...] = ()
    keeps_history: bool = False
    types: Mapping[str, str] = field(default_factory=dict)
    latest: str = LATEST

    @property
    def name(self) -> str:
        """The table's name, quoted."""
        return f"{quote(self.schema)}.{quote(self.table)}"

    @property
    def qualified(self) -> str:
        """The table's name as the change feed has it."""
        return f"{self.schema}.{self.table}"

    @property
    def key_name(self) -> str:
        """The name of the primary key."""
        return key_name(self.table)

    @property
    def is_ahead(self) -> str:
        """Whether a stored row t was fetched by a clock that was wrong."""
        return f"t.fetched_at > {self.latest}"

    def cast(self, column: str, alias: str = "") -> str:
        """A staged column in the type that the table has."""
        return f"{names([column], alias)}::{self.types[column]}"

    def casts(self, columns: Iterable[str]) -> str:
        """Staged columns in the types that the table has, with commas between them."""
        return ", ".join(map(self.cast, columns))

    def equal(self, columns: Iterable[str], left: str, right: str, *, cast: bool = False) -> str:
        """Whether two rows have the same columns; `cast` where those on the right are staged."""
        return " and ".join(
            f"{names([c], left)} = {self.cast(c, right) if cast else names([c], right)}"
            for c in columns
        )

    def with_changes(self, statement: str, result: str, before: str = "") -> bytes:
        """A write to the table as t that feeds the change feed too.

        `result` reads its CTE `written`. `statement` ends where its RETURNING list goes on.
        """
        key = f"t.{quote(self.entity)}" if self.entity else "''"
        day = f", t.{quote(self.day)} as day" if self.day else ""
        feed = insert_changes_sql(self.qualified, "written", key="key", day="day" if day else None)
        return (
            f"with {before}written as ({statement} {key} as key{day}), fed as ({feed}) {result}"
        ).encode()
